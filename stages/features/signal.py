"""Columns that are computed from the waveform alone: mel, loudness, mel2ph, f0."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...common.column_names import mel_column, parse_mel
from ...pipeline import frames, mel
from ...pipeline.pitch import pitch
from ...pipeline.pitch.settings import PitchSettings
from ...store.schema import MEL, Column
from .feature import ALGORITHM, Feature, FeatureRequest, FeatureSettings, UtteranceInput


@dataclass(frozen=True)
class Mel(Feature):
    """`mel`: the log mel spectrogram. `mel_up/4`, `mel_down/3`: with all frequencies moved, to augment training."""

    pitch_shift: int = 0  # semitones

    axis, dtype, unit = MEL, "float16", "ln magnitude"
    in_every_store = True

    @classmethod
    def parse(cls, name: str) -> Self | None:
        shift = parse_mel(name)
        return None if shift is None else cls(shift)

    @property
    def name(self) -> str:
        return mel_column(self.pitch_shift)

    @classmethod
    def wanted(cls, request: FeatureRequest) -> Iterable[Self]:
        shifts = {shift for name in (*request.known, *request.names) if (shift := parse_mel(name))}
        return [cls(), *(cls(shift) for shift in sorted({*shifts, *request.pitch_shifts}))]

    def width(self, made: FeatureSettings) -> int:
        return mel.N_MELS

    def settings(self, made: FeatureSettings) -> dict[str, Any]:
        shift = {"semitones": self.pitch_shift} if self.pitch_shift else {}
        return {**mel.SETTINGS, "algorithm": ALGORITHM, **shift}

    def compute(self, utterance: UtteranceInput) -> NDArray[np.float16]:
        return utterance.waveform.log_mel(self.pitch_shift, utterance.device)


@dataclass(frozen=True)
class Loudness(Feature):
    """`loudness`: RMS of each mel frame's window in dBFS."""

    NAME = "loudness"
    axis, dtype, unit = MEL, "float32", "dBFS"
    in_every_store = True

    def settings(self, made: FeatureSettings) -> dict[str, Any]:
        return {"window": mel.N_FFT, "hop": frames.MEL_HOP, "floor": mel.LOUDNESS_FLOOR_DB, "algorithm": ALGORITHM}

    def compute(self, utterance: UtteranceInput) -> NDArray[np.float32]:
        return utterance.waveform.loudness(utterance.device)


@dataclass(frozen=True)
class Mel2ph(Feature):
    """`mel2ph`: the 1-based unit frame that sounds at each mel frame's centre."""

    NAME = "mel2ph"
    axis, dtype, unit = MEL, "int32", "1-based unit frame"
    sample_rate = None
    in_every_store = True

    def settings(self, made: FeatureSettings) -> dict[str, Any]:
        rule = "true time: floor(centre / 20 ms) + 1"
        return {"rule": rule, "padding": frames.CONTENT_PAD, "algorithm": ALGORITHM}

    def compute(self, utterance: UtteranceInput) -> NDArray[np.int32]:
        return utterance.waveform.mel2ph()


@dataclass(frozen=True)
class F0(Feature):
    """`f0`: Hz at mel frame centres, 0 where unvoiced. Another method or range replaces the column."""

    NAME = "f0"
    axis, dtype, unit = MEL, "float32", "Hz"
    in_every_store = True
    replaceable = True

    def settings(self, made: FeatureSettings) -> dict[str, Any]:
        return {**made.pitch.described(), **pitch.made_by(made.pitch), "unvoiced": 0, "algorithm": ALGORITHM}

    def compute(self, utterance: UtteranceInput) -> NDArray[np.float32]:
        return utterance.waveform.f0(utterance.pitch, utterance.device)

    @classmethod
    def stored_settings(cls, column: Column | None) -> PitchSettings:
        """The f0 settings that a store's column was made with; the defaults where there is none."""
        made = column.settings if column else {}
        return PitchSettings(**{name: made[name] for name in PitchSettings.__dataclass_fields__ if name in made})
