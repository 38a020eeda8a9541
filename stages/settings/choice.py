"""The settings of a training: a preset with the options that the user gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from ...pipeline.diffusion.shape import NOISE_STEPS, Architecture
from .train import PRESETS, TrainSettings
from .train_vocoder import VOCODER_PRESETS, VocoderSettings


def chosen_training(preset: str, asked: Mapping[str, Any]) -> TrainSettings:
    """A preset with the options that the user gave: names of settings, or `k_step`. A value of None is not given.

    Raises ValueError for an unknown preset, for settings that are not valid, and for an option without effect.
    """
    _check(preset, PRESETS)
    given = {name: value for name, value in asked.items() if value is not None}
    if "k_step" in given:
        given["shallow_depth"] = given.pop("k_step") / NOISE_STEPS
        if given["shallow_depth"] < 1 and not PRESETS[preset].architecture.decoder_layers:
            raise ValueError(f"--k-step starts from an auxiliary decoder's output, and preset {preset} has no decoder")
    settings = replaced(PRESETS[preset], given)
    if "unit_dim" in given and settings.units not in ("soft", "linear"):
        raise ValueError(
            f"--unit-dim sets the width of soft and linear units; {settings.units} units have a fixed width"
        )
    if "unit_layer" in given and settings.units == "hubert-soft":
        raise ValueError(
            "--unit-layer is for units computed from hidden states; those of hubert-soft come with the encoder"
        )
    return settings


def chosen_vocoder(preset: str, asked: Mapping[str, Any]) -> VocoderSettings:
    """The same for `--only vocoder`, which has its own settings. Raises ValueError."""
    _check(preset, VOCODER_PRESETS)
    given = {name: value for name, value in asked.items() if value is not None}
    if unknown := sorted(given.keys() - {field.name for field in fields(VocoderSettings)}):
        raise ValueError(f"--{unknown[0].replace('_', '-')} is not an option of the vocoder")
    return replace(VOCODER_PRESETS[preset], **given)


def replaced(settings: TrainSettings, changes: Mapping[str, Any]) -> TrainSettings:
    """Settings with some fields changed, those of the architecture named directly: `{"steps": 5, "channels": 32}`."""
    inner = {field.name for field in fields(Architecture)}
    architecture = {name: value for name, value in changes.items() if name in inner}
    own = {name: value for name, value in changes.items() if name not in inner}
    return replace(settings, **own, architecture=replace(settings.architecture, **architecture))


def _check(preset: str, known: Mapping[str, Any]) -> None:
    if preset not in known:
        raise ValueError(f"preset {preset!r} is not known; choose {', '.join(known)}")
