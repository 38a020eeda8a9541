"""What a browser and the server say to each other beside sound: JSON texts on the web socket of `/api/v1/live`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from ..schemas import ErrorBody, Strict


class LiveSettings(Strict):
    """How sound is converted from now on. The fields are those of `svc live`."""

    speaker: Annotated[str, StringConstraints(max_length=500)] | None = None
    key: Annotated[float, Field(ge=-24, le=24)] = 0.0
    formants: Annotated[float, Field(ge=-12, le=12)] = 0.0
    retrieve: Annotated[float, Field(ge=0, le=1)] | None = None
    gate_db: Annotated[float, Field(ge=-120, le=0)] | None = -60.0
    bypass: bool = False


class LiveStart(LiveSettings):
    """The first message of a browser: the voice, and the settings to begin with."""

    voice: str


class LiveEventKind(StrEnum):
    """What the server says."""

    loading = "loading"  # the voice is loaded
    ready = "ready"  # sound can come
    changed = "changed"  # other settings hold now
    status = "status"  # how it goes
    late = "late"  # hops were dropped
    error = "error"  # settings that cannot be, or, before the socket is closed, why it is


class LiveStatus(BaseModel):
    """How a live conversion goes.

    Attributes:
        delay_ms: from a sound's coming to the server to its being sent back, without the network.
        hop_ms: of sound that are converted at a time.
        hop_p50_ms, hop_p99_ms: what a hop takes, half of them and 99 of 100 at most.
        converted, dropped: hops.
        missing_ms: of sound that was not there in time.
    """

    delay_ms: float
    hop_ms: float
    hop_p50_ms: float = 0.0
    hop_p99_ms: float = 0.0
    converted: int = 0
    dropped: int = 0
    missing_ms: float = 0.0


class LiveEvent(BaseModel):
    """What the server says; the fields that belong to its kind are there."""

    event: LiveEventKind
    text: str = ""
    status: LiveStatus | None = None
    error: ErrorBody | None = None
