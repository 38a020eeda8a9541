"""Which settings a training gets: a preset's, but for what is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from .train import PRESETS, TrainSettings
from .train_vocoder import VOCODER_PRESETS, VocoderSettings

NOISE_STEPS = 1_000  # that lie between sound and noise, as --k-step counts them


def chosen_training(preset: str, asked: Mapping[str, Any]) -> TrainSettings:
    """A preset's, with what is asked for: names of settings, or `k_step` for a depth in noise steps. None asks nothing.

    Raises ValueError for a preset that is not known, for settings that cannot be, and for what would change nothing.
    """
    _check(preset, PRESETS)
    given = {name: value for name, value in asked.items() if value is not None}
    if "k_step" in given:
        given["depth"] = given.pop("k_step") / NOISE_STEPS
        if given["depth"] < 1 and not PRESETS[preset].decoder_layers:
            raise ValueError(f"--k-step starts from an auxiliary decoder's guess, and preset {preset} has no decoder")
    settings = replace(PRESETS[preset], **given)
    if "unit_dim" in given and settings.units not in ("soft", "linear"):
        raise ValueError(f"--unit-dim is of soft and linear units; {settings.units} are as wide as they are")
    if "unit_layer" in given and settings.units == "hubert-soft":
        raise ValueError("--unit-layer is of units made of hidden states; hubert-soft's come with their encoder")
    return settings


def chosen_vocoder(preset: str, asked: Mapping[str, Any]) -> VocoderSettings:
    """The same of `--only vocoder`, which has settings of its own. Raises ValueError."""
    _check(preset, VOCODER_PRESETS)
    given = {name: value for name, value in asked.items() if value is not None}
    if unknown := sorted(given.keys() - {field.name for field in fields(VocoderSettings)}):
        raise ValueError(f"--{unknown[0].replace('_', '-')} is nothing of the vocoder's")
    return replace(VOCODER_PRESETS[preset], **given)


def _check(preset: str, known: Mapping[str, Any]) -> None:
    if preset not in known:
        raise ValueError(f"preset {preset!r} is not known; choose {', '.join(known)}")
