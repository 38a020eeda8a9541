"""The systems of benchmarks/real.py: a run that it trains, and conversions without training."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from conversion import values
from real_recordings import Target
from svc.commands.terminal import Terminal
from svc.pipeline.diffusion.shape import Architecture
from svc.pipeline.frames import MEL_RATE
from svc.pipeline.metrics.audio_features import AudioFeatures, Samples
from svc.pipeline.metrics.baselines import NearestFrames
from svc.pipeline.pitch import melody, pitch
from svc.pipeline.vocoder.pulse_noise import PulseNoise
from svc.stages.extraction.extract import extract
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.run import Run
from svc.stages.settings import PRESETS, ExtractSettings, RenderSettings, TrainSettings
from svc.stages.settings.choice import replaced
from svc.stages.training.train import train

SOURCE, VOCODED = "the source", "the source through the vocoder"
NEAREST = "nearest neighbour, nothing learnt"
System = Callable[[Samples], Samples]  # float32 (T,) at 44.1 kHz -> the same


def make_run(target: Target, out: Path, asked: argparse.Namespace) -> Path:
    """Extract a target's recordings and train on them; existing stores and runs are used again."""
    store, run = out / f"{target.name}.zarr", out / f"{target.name}.{asked.preset}"
    shifts = tuple(int(part) for part in asked.formant_shifts.split(",")) if asked.formant_shifts else ()
    extract([target.folder], store, ExtractSettings(encoder=asked.encoder, formant_shifts=shifts), Terminal())
    changed = settings_of(asked.train, TrainSettings, Architecture)
    settings = replaced(PRESETS[asked.preset], {"steps": asked.steps, **changed})
    train([store], run, settings, progress=Terminal())
    return run


def settings_of(given: Sequence[str], *kinds: type) -> dict[str, Any]:
    """`name=value` pairs as settings of these dataclasses."""
    return {name: found[0] for name, found in (values(text, *kinds) for text in given)}


def nearest_neighbour(target: Target) -> System:
    """A conversion without training: each frame becomes the target's nearest, in the key that suits the target."""
    own, vocoder, reach = [AudioFeatures(wav).mel for wav in target.recordings], PulseNoise(0), target.range

    def convert(wav: Samples) -> Samples:
        source = AudioFeatures(wav)
        f0 = pitch.repair(source.f0)
        key = float(melody.choose_key(f0, reach, any_key=True))
        return vocoder(NearestFrames([source.mel], own)(source.mel), melody.transposed(f0, key)[: len(source.mel)])

    return convert


def vocoded(wav: Samples) -> Samples:
    """A recording, float32 (T,) at 44.1 kHz, through the vocoder `plain` with its own mel and f0."""
    features = AudioFeatures(wav)
    return PulseNoise()(features.mel, pitch.repair(features.f0)[: len(features.mel)])


def systems_of(target: Target, runs: Mapping[str, Path], asked: argparse.Namespace) -> dict[str, System]:
    """The conversions of a source to a target, by name: each takes and returns float32 (T,) at 44.1 kHz."""
    systems: dict[str, System] = {
        SOURCE: lambda wav: wav,
        VOCODED: vocoded,
        NEAREST: nearest_neighbour(target),
    }
    chosen = settings_of(asked.render, RenderSettings)
    for name, path in runs.items():
        converter = RunConverter(Run.open(path), RenderSettings(**{"key": "auto", **chosen}))
        systems[f"{name}, step {converter.step}"] = partial(converted, converter)
    return systems


def converted(converter: RunConverter, wav: Samples) -> Samples:
    """A recording, float32 (T,) at 44.1 kHz, by a run."""
    return converter.convert(wav, MEL_RATE, measured=False).samples
