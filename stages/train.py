"""`svc train`: the soft units, then the acoustic model, from the store alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..pipeline.diffusion import Shape
from ..store import Store, open_store
from ..store.columns import differences
from . import checkpoint
from .dataset import Corpus, gather_corpus
from .errors import UserError
from .progress import Progress
from .run import VERSION, Run, remove_leftovers
from .settings import TrainSettings, pick_device, pick_precision
from .trainer import Trainer
from .units import train_units


@dataclass(frozen=True)
class TrainReport:
    """What a training came to. `mel_error` is the mean |difference| of a held-out utterance's sampled ln mel."""

    run: Path
    steps: int
    best_step: int
    best_loss: float
    mel_error: float
    code_accuracy: float
    seconds: float


def train(
    stores: Sequence[str | Path],
    out: Path,
    settings: TrainSettings,
    device: str = "auto",
    only: str | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a run on stores, or go on with one that was interrupted or that is to have more steps.

    Args:
        stores: paths or URLs of unit stores made with the same settings.
        out: the run's folder.
        settings: what to learn.
        device: where.
        only: `units` stops after the soft projection, `diffusion` needs units that are there.
        progress: told what happens.

    Raises:
        UserError: the stores cannot be trained on, or the run is of other settings or other data.
        StoreError: a store cannot be opened.
    """
    progress = progress or Progress()
    begun = time.monotonic()
    opened = [open_store(path) for path in stores]
    corpus = gather_corpus(opened, progress)
    device = pick_device(device)
    code_layer, unit_layer = _layers(opened[0])
    run = _open_run(out, opened, corpus, settings, code_layer, unit_layer, device, progress)
    minutes = sum(clip.seconds for clip in corpus.train) / 60
    progress.say(
        f"{len(corpus.train)} utterances of {', '.join(corpus.speakers)} ({minutes:.1f} minutes), "
        f"{len(corpus.held_out)} held out -> {out}"
    )
    accuracy = _units(run, corpus, code_layer, unit_layer, settings, only, progress)
    if only == "units":
        return TrainReport(out, 0, 0, float("nan"), float("nan"), accuracy, time.monotonic() - begun)
    trainer = Trainer(run, corpus, settings, unit_layer, device)
    best_step, best_loss = trainer.fit(progress)
    error = trainer.listen()
    return TrainReport(out, trainer.step, best_step, best_loss, error, accuracy, time.monotonic() - begun)


def _layers(store: Store) -> tuple[int, int]:
    """The layer that is clustered and the one that units come from: the lowest and the highest stored."""
    layers = sorted(int(name.split("/")[1]) for name in store.columns if name.startswith("hidden/"))
    if not layers:
        raise UserError(f"{store.location} has no hidden states; run `svc extract` on it first")
    return layers[0], layers[-1]


def _open_run(
    out: Path,
    stores: list[Store],
    corpus: Corpus,
    settings: TrainSettings,
    code_layer: int,
    unit_layer: int,
    device: str,
    progress: Progress,
) -> Run:
    """Begin a run, or find that the one that is there is the same."""
    speakers = [{"name": name, **_pitch_of(corpus, name)} for name in corpus.speakers]
    facts = {
        "format": "svc run",
        "version": VERSION,
        "settings": asdict(settings),
        "precision": pick_precision(settings.precision, device),
        "stores": [store.location for store in stores],
        "data": corpus.digest,
        "held_out": [clip.id for clip in corpus.held_out],
        "speakers": speakers,
        "code_layer": code_layer,
        "unit_layer": unit_layer,
        "identity": stores[0].description["identity"],
        "encoder": stores[0].columns[f"hidden/{unit_layer}"].settings["encoder"],
        "encoder_origin": stores[0].columns[f"hidden/{unit_layer}"].origin,
        "pitch": stores[0].columns["f0"].settings,
        "shape": asdict(
            Shape(
                unit_dim=settings.unit_dim,
                speakers=len(speakers),
                condition=settings.condition,
                channels=settings.channels,
                layers=settings.layers,
                dilation_cycle=settings.dilation_cycle,
                decoder_layers=settings.decoder_layers,
            )
        ),
    }
    remove_leftovers(out)
    if not (out / "run.json").exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} exists and is no run; give another --out")
        run = Run(out, facts)
        run.save()
        return run
    run = Run.open(out)
    if run.facts["data"] != corpus.digest:
        raise UserError(
            f"{out} was trained on other data: the store has changed since it began. "
            f"Train a new run with --out ANOTHER, or restore the store"
        )
    old, new = ({**f["settings"], "precision": f["precision"], "steps": 0} for f in (run.facts, facts))
    if settings.precision == "auto":  # a run keeps the precision that it began with
        new["precision"] = old["precision"]
    if changed := differences(old, new, "in the run", "asked for"):
        raise UserError(f"{out} was begun with other settings:\n{changed}\nGive the same ones, or another --out")
    if run.facts["settings"]["steps"] != settings.steps:
        progress.say(f"the run's length was {run.facts['settings']['steps']} steps and is now {settings.steps}")
        run.facts["settings"]["steps"] = settings.steps
        run.save()
    return run


def _units(
    run: Run,
    corpus: Corpus,
    code_layer: int,
    unit_layer: int,
    settings: TrainSettings,
    only: str | None,
    progress: Progress,
) -> float:
    """Train the units unless they are there; returns the code accuracy."""
    if run.units.exists():
        return float(checkpoint.load(run.units)[1]["accuracy"])
    if only == "diffusion":
        raise UserError(f"{run.path} has no units yet; train them first: svc train --only units")
    if code_layer == unit_layer:
        progress.warn("only one layer is stored: codes and units come from the same one, which makes units less useful")
    codebook, projection, report = train_units(corpus, code_layer, unit_layer, settings, progress)
    tensors = {**checkpoint.prefixed("codebook", codebook), **checkpoint.prefixed("projection", projection)}
    checkpoint.save(run.units, tensors, asdict(report))
    progress.say(
        f"soft units: {settings.unit_dim} wide, {report.accuracy:.0%} of {report.codes} codes right on held-out "
        f"utterances (always the commonest: {report.chance:.0%}), {report.seconds:.0f} s"
    )
    return report.accuracy


def _pitch_of(corpus: Corpus, speaker: str) -> dict[str, float | None]:
    """A speaker's range: the 5th, 50th and 95th percentile of voiced f0 in Hz."""
    voiced = np.concatenate([clip.f0[clip.f0 > 0] for clip in corpus.train if clip.speaker == speaker])
    if len(voiced) == 0:
        return {"f0_low": None, "f0_median": None, "f0_high": None}
    low, middle, high = np.percentile(voiced, [5, 50, 95]).round(1).tolist()
    return {"f0_low": low, "f0_median": middle, "f0_high": high}
