"""`svc train`: the soft units, then the acoustic model, from the store alone."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...common.errors import UserError
from ...common.progress import Progress
from ...common.text import count
from ...store import open_store
from .. import checkpoint
from ..checkpoint_records import UnitsRecord
from ..retrieval_index import write_index
from ..run import Run, at_work
from ..settings import TrainSettings
from .acoustic_task import AcousticTask
from .corpus import Corpus, gather_corpus
from .distributed import DistributedContext
from .run_setup import open_run
from .units import Layers, train_units
from .verdict import Verdict, verdict


@dataclass(frozen=True)
class TrainReport:
    """The result of a training.

    Attributes:
        run: the run's folder.
        steps, best_step: steps taken, and those of the checkpoint that rendering uses.
        best_loss: that checkpoint's loss on held-out crops.
        mel_error: the mean |difference| of a held-out utterance's sampled ln mel.
        code_accuracy: share of held-out codes that are predicted from the units; None for units without codes.
        verdict: whether more training would help; None where units alone were trained.
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
    verdict: Verdict | None = None
    waited: float = 0.0
    seconds: float = 0.0
    leads: bool = True
    page: Path | None = None

    def lines(self) -> list[str]:
        """The result as text, and the next step; empty in a process that does not lead."""
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
    init_from: Path | str | None = None,
) -> TrainReport:
    """Train a run on stores, or continue one that was interrupted or that gets more steps or another batch.

    Args:
        stores: paths or URLs of unit stores made with the same settings.
        out: the run's folder.
        settings: of the training.
        device: where to compute.
        only: `units` stops after the soft projection, `diffusion` needs existing units.
        progress: reports what happens.
        init_from: a trained run whose units and weights a new run begins with; `auto`: the base voice that ships and
            fits, if there is one; None: no base.

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
            run = open_run(out, opened, corpus, settings, distributed.device, init_from, progress)
            minutes = sum(clip.seconds for clip in corpus.train) / 60
            progress.say(
                f"{count(len(corpus.train), 'utterance')} of {', '.join(corpus.speakers)} ({minutes:.1f} minutes), "
                f"{len(corpus.held_out)} held out -> {out}"
            )
            accuracy = _units(run, corpus, distributed.device, only, progress)
            if only != "units":
                write_index(run, opened, progress)
        distributed.wait()
        if only != "units":
            report = _acoustic_model(Run.open(out), corpus, distributed, progress)
            return replace(report, seconds=time.monotonic() - begun)
    return TrainReport(out, code_accuracy=accuracy, seconds=time.monotonic() - begun, leads=distributed.leads)


def _acoustic_model(run: Run, corpus: Corpus, distributed: DistributedContext, progress: Progress) -> TrainReport:
    """Train the acoustic model to the run's last step."""
    task = AcousticTask(run, corpus, distributed)
    loop = task.loop()
    loop.fit(progress)
    distributed.wait()
    return TrainReport(
        run.path,
        loop.step,
        loop.best.step,
        math.nan if loop.best.loss is None else loop.best.loss,
        task.reconstruct() if distributed.leads else math.nan,
        checkpoint.load_record(run.units, UnitsRecord)[1].accuracy,
        verdict(loop.log.read(), loop.best.step),
        loop.waited,
        leads=distributed.leads,
    )


def _units(run: Run, corpus: Corpus, device: str, only: str | None, progress: Progress) -> float | None:
    """Train the units unless they are there; returns the code accuracy."""
    if run.units.exists():
        return checkpoint.load_record(run.units, UnitsRecord)[1].accuracy
    if only == "diffusion":
        raise UserError(f"{run.path} has no units yet; train them first: svc train --only units")
    settings = run.config.settings
    layers = Layers(run.config.code_layer, run.config.unit_column.name)
    if layers.same and settings.units == "soft":
        progress.warn("only one layer is stored: codes and units come from the same one, which makes units less useful")
    codebook, projection, record = train_units(corpus, layers, settings, device, progress)
    tensors = {**checkpoint.prefixed("codebook", codebook), **checkpoint.prefixed("projection", projection)}
    checkpoint.save(run.units, tensors, asdict(record))
    if record.accuracy is not None:
        progress.say(
            f"soft units: {settings.unit_dim} wide, {record.accuracy:.0%} of {record.codes} codes right on held-out "
            f"utterances (always predicting the commonest: {record.chance:.0%}), {record.seconds:.0f} s"
        )
    return record.accuracy
