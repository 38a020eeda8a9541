"""`svc train`: the soft units, then the acoustic model, from the store alone."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ...common.differences import differences
from ...common.errors import UserError
from ...common.progress import Progress
from ...common.text import count
from ...pipeline.slicing import SliceSettings
from ...store import Store, open_store
from .. import checkpoint
from ..checkpoint_records import UnitsRecord
from ..devices import pick_precision
from ..features import SOFT
from ..run import CONFIG, Run, at_work
from ..run_config import EncoderRecord, FrameRates, RunConfig, Speaker, UnitColumn
from ..settings import TrainSettings
from .corpus import Corpus, gather_corpus
from .distributed import DistributedContext
from .pretrained import check_pretrained, copy_units
from .trainer import Trainer
from .units import Layers, train_units


@dataclass(frozen=True)
class TrainReport:
    """What a training came to.

    Attributes:
        run: where it lies.
        steps, best_step: how many steps it has had, and those of the checkpoint that sings.
        best_loss: that checkpoint's loss on held-out crops.
        mel_error: the mean |difference| of a held-out utterance's sampled ln mel.
        code_accuracy: share of held-out codes that the units tell; None where they are not trained to.
        verdict: whether more training would help, in a sentence.
        waited: share of the training's time in which the next batch was waited for.
        seconds: that all of it took.
        leads: whether this process is the one that reports it: of several, the first.
        page: where report.html lies, once it is written.
    """

    run: Path
    steps: int = 0
    best_step: int = 0
    best_loss: float = float("nan")
    mel_error: float = float("nan")
    code_accuracy: float | None = None
    verdict: str = ""
    waited: float = 0.0
    seconds: float = 0.0
    leads: bool = True
    page: Path | None = None

    def lines(self) -> list[str]:
        """What a reader wants to know, and what to do next; nothing from a process that does not lead."""
        if not self.leads:
            return []
        codes = "" if self.code_accuracy is None else f": {self.code_accuracy:.0%} of held-out codes right"
        if not self.steps:  # units alone
            return [f"{self.run}{codes}"]
        return [
            f"{self.run}{codes}",
            f"  {self.verdict}",
            f"  step {self.steps}, best at {self.best_step} (held-out loss {self.best_loss:.4f}); a held-out utterance "
            f"is off by {self.mel_error:.2f} in ln mel: see {self.run / 'held_out.png'}",
            *([f"  {self.page}: listen and look"] if self.page else []),
            f"next: svc render song.wav -m {self.run}",
        ]


def train(
    stores: Sequence[str | Path],
    out: Path,
    settings: TrainSettings,
    device: str = "auto",
    only: str | None = None,
    progress: Progress | None = None,
    init_from: Path | None = None,
) -> TrainReport:
    """Train a run on stores, or go on with one that was interrupted or that is to have more steps.

    Args:
        stores: paths or URLs of unit stores made with the same settings.
        out: the run's folder.
        settings: what to learn.
        device: where.
        only: `units` stops after the soft projection, `diffusion` needs units that are there.
        progress: told what happens.
        init_from: a trained run whose units and weights a new run begins with.

    Raises:
        UserError: the stores cannot be trained on, or the run is of other settings or other data, or in use.
        StoreError: a store cannot be opened.
    """
    distributed = DistributedContext(device)
    progress = progress if progress and distributed.leads else Progress()
    begun = time.monotonic()
    opened = [open_store(path) for path in stores]
    corpus = gather_corpus(opened, progress)
    if settings.batch % distributed.size:
        raise UserError(
            f"a batch of {settings.batch} does not split over {distributed.size} processes; give another --batch"
        )
    accuracy: float | None = None
    with at_work(out) if distributed.leads else nullcontext():
        if distributed.leads:
            run = _open_run(out, opened, corpus, settings, distributed.device, init_from, progress)
            minutes = sum(clip.seconds for clip in corpus.train) / 60
            progress.say(
                f"{count(len(corpus.train), 'utterance')} of {', '.join(corpus.speakers)} ({minutes:.1f} minutes), "
                f"{len(corpus.held_out)} held out -> {out}"
            )
            accuracy = _units(run, corpus, settings, distributed.device, only, progress)
        distributed.wait()
        if only == "units":
            return TrainReport(out, code_accuracy=accuracy, seconds=time.monotonic() - begun, leads=distributed.leads)
        run = Run.open(out)
        accuracy = checkpoint.load_record(run.units, UnitsRecord)[1].accuracy
        trainer = Trainer(run, corpus, settings, distributed)
        trainer.fit(progress)
        distributed.wait()
        return TrainReport(
            out,
            trainer.step,
            trainer.best.step,
            math.nan if trainer.best.loss is None else trainer.best.loss,
            trainer.listen() if distributed.leads else float("nan"),
            accuracy,
            trainer.verdict(),
            trainer.waited,
            time.monotonic() - begun,
            distributed.leads,
        )


def choose_layers(store: Store, settings: TrainSettings) -> Layers:
    """The layer that is clustered, by default the lowest stored, and the column that units come from, the highest.

    Raises UserError when the store lacks one of them.
    """
    layers = sorted(int(name.split("/")[1]) for name in store.columns if name.startswith("hidden/"))
    if not layers:
        raise UserError(f"{store.location} has no hidden states; run `svc extract` on it first")
    codes = layers[0] if settings.code_layer is None else settings.code_layer
    units = layers[-1] if settings.unit_layer is None else settings.unit_layer
    for layer in (codes, units):
        if layer not in layers:
            raise UserError(
                f"{store.location} has layers {', '.join(map(str, layers))}, not {layer}; "
                f"add it: svc extract --layers {layer}"
            )
    if settings.units != "hubert-soft":
        return Layers(codes, f"hidden/{units}")
    if SOFT not in store.columns:
        raise UserError(
            f"{store.location} has no units of a HuBERT-soft; they come with its encoder: "
            f"svc extract --encoder hubert-soft"
        )
    return Layers(codes, SOFT)


def _open_run(
    out: Path,
    stores: list[Store],
    corpus: Corpus,
    settings: TrainSettings,
    device: str,
    init_from: Path | None,
    progress: Progress,
) -> Run:
    """Begin a run, or check that the one that is there has the same settings and data."""
    config = _config(stores, corpus, settings, device)
    if (out / CONFIG).exists():
        return _go_on(Run.open(out), config, init_from, progress)
    if init_from is not None:
        before = Run.open(init_from)
        check_pretrained(before, config)
        config = replace(config, init_from=str(init_from.absolute()))
        progress.say(f"it begins with the units and weights of {init_from}")
        copy_units(Run(out, config), before)
    run = Run(out, config)
    run.save()
    return run


def _config(stores: list[Store], corpus: Corpus, settings: TrainSettings, device: str) -> RunConfig:
    """The record of a run that is begun now."""
    layers = choose_layers(stores[0], settings)
    column = stores[0].columns[layers.units]
    encoder = column.settings["encoder"]
    identity = stores[0].description["identity"]
    return RunConfig(
        settings=settings,
        precision=pick_precision(settings.precision, device),
        stores=tuple(store.location for store in stores),
        data_digest=corpus.digest,
        held_out=tuple(clip.id for clip in corpus.held_out),
        speakers=tuple(Speaker(name, *_pitch_of(corpus, name)) for name in corpus.speakers),
        code_layer=layers.codes,
        unit_column=UnitColumn(layers.units, column.settings.get("layer", encoder["layers"]), column.width),
        encoder=EncoderRecord(encoder, column.origin, column.settings["precision"]),
        slices=SliceSettings(**identity["slices"]),
        pitch=stores[0].columns["f0"].settings,
        augmented=(*corpus.pitch_shifts.values(), *corpus.formant_shifts(layers.units).values()),
        frame_rates=FrameRates(identity["unit_frame_rate"], identity["mel_frame_rate"]),
        algorithm=identity["algorithm"],
    )


def _go_on(run: Run, config: RunConfig, init_from: Path | None, progress: Progress) -> Run:
    """A run that is there, perhaps with more steps. Raises UserError when it differs in what cannot change."""
    if run.config.data_digest != config.data_digest:
        raise UserError(
            f"{run.path} was trained on other data: the store has changed since it began",
            "Train a new run with --out ANOTHER, or restore the store",
        )
    if init_from is not None and run.config.init_from != str(init_from.absolute()):
        raise UserError(
            f"{run.path} did not begin from {init_from}", "Leave --base out to go on with it, or give another --out"
        )
    old, new = ({**asdict(c.settings), "precision": c.precision, "steps": 0} for c in (run.config, config))
    if config.settings.precision == "auto":  # a run keeps the precision that it began with
        new["precision"] = old["precision"]
    if changed := differences(old, new, "in the run", "asked for"):
        raise UserError(f"{run.path} was begun with other settings:\n{changed}", "Give the same ones, or another --out")
    steps = config.settings.steps
    if run.config.settings.steps == steps:
        return run
    progress.say(f"the run's length was {run.config.settings.steps} steps and is now {steps}")
    run = Run(run.path, replace(run.config, settings=replace(run.config.settings, steps=steps)))
    run.save()
    return run


def _units(
    run: Run, corpus: Corpus, settings: TrainSettings, device: str, only: str | None, progress: Progress
) -> float | None:
    """Train the units unless they are there; returns the code accuracy."""
    if run.units.exists():
        return checkpoint.load_record(run.units, UnitsRecord)[1].accuracy
    if only == "diffusion":
        raise UserError(f"{run.path} has no units yet; train them first: svc train --only units")
    layers = Layers(run.config.code_layer, run.config.unit_column.name)
    if layers.same and settings.units == "soft":
        progress.warn("only one layer is stored: codes and units come from the same one, which makes units less useful")
    codebook, projection, report = train_units(corpus, layers, settings, device, progress)
    tensors = {**checkpoint.prefixed("codebook", codebook), **checkpoint.prefixed("projection", projection)}
    checkpoint.save(run.units, tensors, asdict(report))
    if report.accuracy is not None:
        progress.say(
            f"soft units: {settings.unit_dim} wide, {report.accuracy:.0%} of {report.codes} codes right on held-out "
            f"utterances (always the commonest: {report.chance:.0%}), {report.seconds:.0f} s"
        )
    return report.accuracy


def _pitch_of(corpus: Corpus, speaker: str) -> tuple[float, ...]:
    """A speaker's range: the 5th, 50th and 95th percentile of voiced f0 in Hz; nothing when it is never voiced."""
    voiced = np.concatenate([clip.f0[clip.f0 > 0] for clip in corpus.train if clip.speaker == speaker])
    return tuple(np.percentile(voiced, [5, 50, 95]).round(1).tolist()) if len(voiced) else ()
