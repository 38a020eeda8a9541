"""`svc train`: the soft units, then the acoustic model, from the store alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...common.differences import differences
from ...common.errors import UserError
from ...common.progress import Progress
from ...pipeline.diffusion.diffusion import Shape
from ...store import Store, open_store
from .. import checkpoint
from ..devices import pick_precision
from ..features import SOFT
from ..run import VERSION, Run, at_work
from ..settings import TrainSettings
from .dataset import Corpus, gather_corpus
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
    base: Path | None = None,
) -> TrainReport:
    """Train a run on stores, or go on with one that was interrupted or that is to have more steps.

    Args:
        stores: paths or URLs of unit stores made with the same settings.
        out: the run's folder.
        settings: what to learn.
        device: where.
        only: `units` stops after the soft projection, `diffusion` needs units that are there.
        progress: told what happens.
        base: a trained run to begin from.

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
            run = _open_run(out, opened, corpus, settings, distributed.device, base, progress)
            minutes = sum(clip.seconds for clip in corpus.train) / 60
            progress.say(
                f"{len(corpus.train)} utterances of {', '.join(corpus.speakers)} ({minutes:.1f} minutes), "
                f"{len(corpus.held_out)} held out -> {out}"
            )
            accuracy = _units(run, corpus, settings, distributed.device, only, progress)
        distributed.wait()
        if only == "units":
            return TrainReport(out, code_accuracy=accuracy, seconds=time.monotonic() - begun, leads=distributed.leads)
        run = Run.open(out)
        accuracy = checkpoint.load(run.units)[1]["accuracy"]
        trainer = Trainer(run, corpus, settings, distributed)
        trainer.fit(progress)
        distributed.wait()
        return TrainReport(
            out,
            trainer.step,
            trainer.best.step,
            trainer.best.loss,
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
    base: Path | None,
    progress: Progress,
) -> Run:
    """Begin a run, or find that the one that is there is the same."""
    layers = choose_layers(stores[0], settings)
    column = stores[0].columns[layers.units]
    made = column.settings
    speakers = [{"name": name, **_pitch_of(corpus, name)} for name in corpus.speakers]
    metadata: dict[str, Any] = {
        "format": "svc run",
        "version": VERSION,
        "settings": asdict(settings),
        "precision": pick_precision(settings.precision, device),
        "stores": [store.location for store in stores],
        "data": corpus.digest,
        "held_out": [clip.id for clip in corpus.held_out],
        "speakers": speakers,
        "code_layer": layers.codes,
        "unit_column": layers.units,
        "unit_layer": made.get("layer", made["encoder"]["layers"]),
        "identity": stores[0].description["identity"],
        "encoder": made["encoder"],
        "encoder_origin": column.origin,
        "encoder_precision": made["precision"],
        "pitch": stores[0].columns["f0"].settings,
        "augmented": [*corpus.pitch_shifts.values(), *corpus.formant_shifts(layers.units).values()],
        "base": None,
        "shape": asdict(_shape(settings, column.width, len(speakers))),
    }
    if not (out / "run.json").exists():
        run = Run(out, metadata)
        if base is not None:
            before = Run.open(base)
            check_pretrained(before, metadata)
            metadata["base"] = str(base.absolute())
            progress.say(f"it begins with the units and weights of {base}")
            copy_units(run, before)
        run.save()
        return run
    run = Run.open(out)
    if run.metadata["data"] != corpus.digest:
        raise UserError(
            f"{out} was trained on other data: the store has changed since it began. "
            f"Train a new run with --out ANOTHER, or restore the store"
        )
    if base is not None and run.metadata["base"] != str(base.absolute()):
        raise UserError(f"{out} did not begin from {base}; leave --base out to go on with it, or give another --out")
    old, new = ({**f["settings"], "precision": f["precision"], "steps": 0} for f in (run.metadata, metadata))
    if settings.precision == "auto":  # a run keeps the precision that it began with
        new["precision"] = old["precision"]
    if changed := differences(old, new, "in the run", "asked for"):
        raise UserError(f"{out} was begun with other settings:\n{changed}\nGive the same ones, or another --out")
    if run.metadata["settings"]["steps"] != settings.steps:
        progress.say(f"the run's length was {run.metadata['settings']['steps']} steps and is now {settings.steps}")
        run.metadata["settings"]["steps"] = settings.steps
        run.save()
    return run


def _shape(settings: TrainSettings, width: int, speakers: int) -> Shape:
    """The acoustic model's, for stored columns `width` wide."""
    return Shape(
        unit_dim=settings.unit_dim if settings.units == "soft" else width,
        projected=settings.unit_dim if settings.units == "linear" else 0,
        speakers=speakers,
        condition=settings.condition,
        denoiser=settings.denoiser,
        channels=settings.channels,
        layers=settings.layers,
        dilation_cycle=settings.dilation_cycle,
        decoder_layers=settings.decoder_layers,
        decoder_channels=settings.decoder_channels,
    )


def _units(
    run: Run, corpus: Corpus, settings: TrainSettings, device: str, only: str | None, progress: Progress
) -> float | None:
    """Train the units unless they are there; returns the code accuracy."""
    if run.units.exists():
        return checkpoint.load(run.units)[1]["accuracy"]
    if only == "diffusion":
        raise UserError(f"{run.path} has no units yet; train them first: svc train --only units")
    layers = Layers(run.metadata["code_layer"], run.metadata["unit_column"])
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


def _pitch_of(corpus: Corpus, speaker: str) -> dict[str, float | None]:
    """A speaker's range: the 5th, 50th and 95th percentile of voiced f0 in Hz."""
    voiced = np.concatenate([clip.f0[clip.f0 > 0] for clip in corpus.train if clip.speaker == speaker])
    if len(voiced) == 0:
        return {"f0_low": None, "f0_median": None, "f0_high": None}
    low, middle, high = np.percentile(voiced, [5, 50, 95]).round(1).tolist()
    return {"f0_low": low, "f0_median": middle, "f0_high": high}
