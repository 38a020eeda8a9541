"""Store columns: `Feature` is the interface, `registry.FEATURES` lists the kinds, `Waveform` is their input."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ...common.column_names import SOFT, hidden_column, parse_hidden, parse_mel
from ...pipeline import frames
from ...pipeline.slicing import SliceSettings
from . import registry
from .feature import ALGORITHM, EncoderInfo, Feature, FeatureRequest, FeatureSettings, UtteranceInput
from .registry import feature_named, wanted_features
from .waveform import Waveform

__all__ = [
    "ALGORITHM",
    "SOFT",
    "EncoderInfo",
    "Feature",
    "FeatureRequest",
    "FeatureSettings",
    "UtteranceInput",
    "Waveform",
    "feature_named",
    "formant_shift_of",
    "hidden_column",
    "identity",
    "parse_hidden",
    "parse_mel",
    "pitch_shift_of",
    "registry",
    "wanted_features",
]


def identity(slices: SliceSettings) -> dict[str, Any]:
    """The settings of a whole store: how recordings are sliced, and the two frame rates."""
    return {
        "slices": asdict(slices),
        "unit_frame_rate": frames.UNIT_RATE,
        "mel_frame_rate": frames.MEL_FRAME_RATE,
        "algorithm": ALGORITHM,
    }


def formant_shift_of(name: str) -> tuple[int, int] | None:
    """Semitones and layer of a formant-shifted column: (4, 12) of `hidden_up4/12`; None of other columns."""
    found = parse_hidden(name)
    return (found[1], found[0]) if found and found[1] else None


def pitch_shift_of(name: str) -> int | None:
    """Semitones that a column's mel is moved by: 4 of `mel_up/4`, -3 of `mel_down/3`, None of other columns."""
    return parse_mel(name) or None
