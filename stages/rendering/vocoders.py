"""Vocoders by name or path: the run's own, those without weights, and checkpoints of OpenVPI or of other runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from ...common.differences import differences
from ...pipeline import mel
from ...pipeline.vocoder import nsf_hifigan_files
from ...pipeline.vocoder.pulse_noise import PulseNoise
from ...pipeline.vocoder.source_filter import Shape, SourceFilter, SourceFilterNet
from ...pipeline.vocoder.vocoder import Vocoder, VocoderError
from ...pipeline.vocoder.world import World
from .. import checkpoint
from ..checkpoint_records import VocoderRecord
from ..run import VOCODER, Run
from ..run_stores import recorded_locations

WITHOUT_WEIGHTS: dict[str, Callable[[], Vocoder]] = {"plain": PulseNoise, "world": World}


def load_vocoder(name: str | None, run: Run, device: str, bf16: bool = False) -> Vocoder:
    """The vocoder called `name` for a run.

    Args:
        name: `own` (the run's), one of WITHOUT_WEIGHTS, the path of one from OpenVPI or of another run's own, or None
            for the run's own if it has one, else plain.
        run: whose own it may be.
        device: where a network computes.
        bf16: whether a network may compute in bf16.

    Raises:
        VocoderError: it is not there or does not fit.
    """
    own = run.vocoder
    if name is None and not own.exists():
        name = "plain"
    if name in WITHOUT_WEIGHTS:
        return WITHOUT_WEIGHTS[name]()
    if name in (None, "own"):
        if not own.exists():
            stores = " ".join(f"--store {store}" for store in recorded_locations(run) or ["STORE"])
            raise VocoderError(
                f"{run.source} has no vocoder of its own yet; train one with "
                f"`svc train --only vocoder {stores} --out {run.source}`, or render with --vocoder plain"
            )
        return load_own(own, device, bf16)
    path = Path(name).expanduser()
    if not path.exists():
        raise VocoderError(
            f"there is no vocoder {name!r}: it is own (the run's), {' or '.join(WITHOUT_WEIGHTS)}, or the path of "
            f"another run, of its "
            f"vocoder.safetensors, or of a folder as OpenVPI's NSF-HiFiGAN releases have it"
        )
    if path.is_dir() and (path / VOCODER).exists():
        path = path / VOCODER
    if path.suffix == ".safetensors":
        return load_own(path, device, bf16)
    return nsf_hifigan_files.load(path, device, bf16)


def load_own(path: Path, device: str, bf16: bool = False) -> SourceFilter:
    """A vocoder of `svc train --only vocoder`. Raises UserError or VocoderError if it is none."""
    if checkpoint.load(path)[1].get("kind") != "svc own vocoder":
        raise VocoderError(f"{path} is no vocoder of svc: `svc train --only vocoder` makes one in a run")
    record = checkpoint.load_record(path, VocoderRecord)[1]
    if changed := differences(record.mel, mel.SETTINGS, "there", "here"):
        raise VocoderError(f"{path} was trained on another mel than is made here:\n{changed}\nTrain it anew")
    shape = Shape(record.settings.channels, record.settings.layers)
    network, _ = checkpoint.load_module(path, "ema", lambda: SourceFilterNet(shape), VocoderRecord)
    metadata = {"path": str(path.absolute()), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return SourceFilter(network, {**metadata, "step": record.step}, device, bf16)
