"""The server itself: stores, settings, session, health, events."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from .base import Strict


class StoreInfo(BaseModel):
    """A store under the home folder."""

    id: str
    name: str
    utterances: int
    seconds: float
    speakers: list[str]
    columns: list[str]


class SettingsBody(Strict):
    """Settings that the page keeps."""

    values: Annotated[dict[str, Any], Field(max_length=100)]


class Session(Strict):
    """The token that a browser signs in with."""

    token: Annotated[str, StringConstraints(max_length=500)]


class Health(BaseModel):
    """The server's version, limits, and features."""

    version: str
    token_needed: bool
    host: str
    encoders: list[str]
    presets: dict[str, int]
    limits: dict[str, float]


class EventKind(StrEnum):
    """The kind of an event."""

    job = "job"
    take = "take"
    song = "song"
    voice = "voice"
    result = "result"


class Event(BaseModel):
    """One message of an event stream."""

    kind: EventKind
    subject: str
    data: dict[str, Any] = {}
