"""Takes: settings, scores, and picks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from .base import Strict

SpeakerMix = Annotated[str, StringConstraints(max_length=500)]
Formants = Annotated[float, Field(ge=-12, le=12)]
Share = Annotated[float, Field(ge=0, le=1)]
Breaths = Annotated[
    Share | Literal["keep", "sing"],
    Field(description="`keep` the song's own breaths, `sing` them, or multiply converted breaths with 0 to 1."),
]


class TakeSettings(Strict):
    """How a phrase is converted; the fields are those of `svc render`."""

    voice: str
    speaker: SpeakerMix | None = None
    key: Annotated[float, Field(ge=-48, le=48)] | str = 0.0
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    formants: Formants = 0.0
    retrieve: Share | None = None
    loudness: Share = 0.0
    breaths: Breaths = "sing"
    smooth_ms: Annotated[float, Field(ge=0, le=1000)] = 0.0
    fix_octaves: bool = False
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None


class TakeScores(BaseModel):
    """Scores of a take by measures that need no reference; shares from 0 to 1.

    `in_tune`: of the frames that should be voiced, within 50 cents. `phones`: of the loud frames, the same kind of
    phone as in the song. `loudness`: correlation with the song's. `overall`: their weighted mean.
    """

    overall: float
    in_tune: float | None = None
    phones: float | None = None
    loudness: float | None = None


class Take(BaseModel):
    """One conversion of a phrase. `start`: seconds at which its audio begins in the song."""

    id: str
    song: str
    phrase: int
    settings: TakeSettings
    key: float
    start: float
    seconds: float
    rms_db: float
    scores: TakeScores
    created: float
    run_sha256: str = ""
    f0_sha256: str = ""


class ConvertRequest(Strict):
    """Convert phrases of a song (all that lack a take with these settings, if none are named)."""

    settings: TakeSettings
    phrases: Annotated[list[int], Field(max_length=5_000)] | None = None
    takes: Annotated[int, Field(ge=1, le=16)] = 1


class Picks(Strict):
    """For each phrase the id of the chosen take, or null for silence. Phrases that are left out keep their choice."""

    picks: dict[int, str | None]


class PickRecord(BaseModel):
    """The record of takes that were chosen by hand."""

    picks: dict[int, str | None]
