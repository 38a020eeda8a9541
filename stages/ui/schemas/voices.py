"""Voices and their recordings."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from ...training.verdict import Trend
from .base import Name, Strict, Text


class SpeakerInfo(BaseModel):
    """A speaker of a voice, and its f0 range in training, Hz (5th, 50th, 95th percentile)."""

    name: str
    f0_low: float | None = None
    f0_median: float | None = None
    f0_high: float | None = None


class Validation(BaseModel):
    """A line of a run's log."""

    step: int
    values: dict[str, float]


class VoiceState(StrEnum):
    """How far a voice is."""

    empty = "empty"
    recorded = "recorded"
    prepared = "prepared"
    training = "training"
    ready = "ready"


class Advice(BaseModel):
    """Whether more training would help, as facts: for a page in any language."""

    trend: Trend
    since_step: Annotated[int, Field(description="The first step that was as good as the best, within 1 %.")] = 0
    more_steps: Annotated[int, Field(description="What to train to where more would help.")] = 0


class VoiceRecord(BaseModel):
    """The stored record of a voice that was made on the page."""

    id: str
    name: str
    slug: str
    created: float
    consent: str = ""
    encoder: str = "mini"
    verdict: str = ""
    advice: Advice | None = None


class Voice(BaseModel):
    """A voice: its recordings, store and run, as far as they exist."""

    id: str
    name: str
    state: VoiceState
    created: float
    made_here: bool = Field(description="Whether its recordings were uploaded here; else it is a run that was found.")
    consent: str = ""
    encoder: str = ""
    recordings: int = 0
    speakers: list[SpeakerInfo] = []
    steps: int = 0
    steps_wanted: int = 0
    best_step: int = 0
    verdict: Annotated[str, Field(description="Whether more training would help, in English.")] = ""
    advice: Annotated[Advice | None, Field(description="The same as facts.")] = None
    validations: list[Validation] = []
    examples: Annotated[list[str], Field(description="Names of players: held-out takes as training went on.")] = []
    job: Annotated[str | None, Field(description="The id of the job at work on it.")] = None


class NewVoice(Strict):
    """A voice to make."""

    name: Name
    consent: Text = ""
    encoder: Name = "mini"


class VoiceChange(Strict):
    """Changes of a voice; null leaves a value as it is."""

    name: Name | None = None
    consent: Text | None = None
    encoder: Name | None = None


class Recording(BaseModel):
    """An uploaded recording. `file` is its name on the server."""

    id: str
    voice: str
    name: str
    file: str
    bytes: int
    left_out: bool = False
    created: float = 0.0


class RecordingChange(Strict):
    """Whether a recording is left out of training."""

    left_out: bool


class TrainRequest(Strict):
    """How to train: a preset, and how long."""

    preset: Annotated[str, StringConstraints(pattern="^(tiny|base|large)$")] = "tiny"
    steps: Annotated[int, Field(ge=10, le=1_000_000)] = 1_200
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
