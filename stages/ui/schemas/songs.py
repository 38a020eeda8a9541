"""Songs, their phrases and parts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from .base import ErrorBody, Name, Strict


class Phrase(BaseModel):
    """A part of a song that is converted separately. Seconds."""

    index: int
    start: float
    end: float
    joined: bool = Field(description="Whether the phrase before ends here in mid-sound.")


class SongState(StrEnum):
    """How far a song is."""

    analysing = "analysing"
    ready = "ready"
    failed = "failed"


class Song(BaseModel):
    """A song, or a part of one (then `parent` is the song)."""

    id: str
    name: str
    file: str
    bytes: int
    created: float
    parent: str | None = None
    role: str = "sing"
    gain_db: float = 0.0
    begins: Annotated[float, Field(description="Seconds before which a part is silent in the mix.")] = 0.0
    ends: Annotated[float | None, Field(description="Seconds after which it is; null is its end.")] = None
    state: SongState = SongState.analysing
    error: ErrorBody | None = None
    seconds: float = 0.0
    sample_rate: int = 0
    frames: int = 0
    phrases: list[Phrase] = []
    notes: list[str] = []
    f0_low: float | None = None
    f0_median: float | None = None
    f0_high: float | None = None
    f0_edited: bool = False
    f0_times: Annotated[dict[int, float], Field(description="When the f0 of a phrase was changed last.")] = {}
    tiles: int = 0
    rms_db: float = -20.0
    mixdown_gain: Annotated[float, Field(description="What its sound was multiplied with to fit full scale.")] = 1.0


class NewPart(Strict):
    """A part that is the same recording as its song."""

    name: Name


class SongChange(Strict):
    """Changes of a song; null leaves a value as it is. `ends` 0 is the recording's end."""

    name: Name | None = None
    role: Annotated[str, StringConstraints(pattern="^(sing|keep)$")] | None = None
    gain_db: Annotated[float, Field(ge=-60, le=24)] | None = None
    begins: Annotated[float, Field(ge=0, le=86_400)] | None = None
    ends: Annotated[float, Field(ge=0, le=86_400)] | None = None
