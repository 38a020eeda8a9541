"""The training loop: one for the acoustic model, the vocoder and all other models that are trained step by step.

A step depends on its number and on the state before it, so a training that was interrupted and resumed ends with the
same bits as an uninterrupted one.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from ...common.errors import UserError
from ...common.progress import Bar, Progress
from .. import checkpoint
from ..checkpoint_records import BestRecord, LastRecord, read_last
from ..training_log import TrainingLog
from .distributed import DistributedContext
from .loader import Loader
from .stop import Stopped, StopSignals
from .tensorboard import TensorBoard

CHECKPOINT_SECONDS = 300.0
AGREE_STEPS = 5  # steps between the checks of several processes whether one of them must stop
NOTE_STEPS = 10  # between updates of what is shown beside the bar
LOSSES = "loop.losses"  # since the last validation, in last.safetensors

Tensors = dict[str, Tensor]


class Task(ABC):
    """The model and data that a loop trains."""

    label: str  # of the progress bar

    def prepare(self, progress: Progress) -> None:  # noqa: B027  # not every task has something to prepare
        """Called once before the first step, in the leading process."""

    @abstractmethod
    def read(self, step: int) -> Tensors:
        """This process's batch of a step, on the CPU: tensors (B, ...) by name. Called in worker threads."""

    @abstractmethod
    def train_step(self, step: int, tensors: Tensors) -> Tensor:
        """Update the weights; returns the loss, a scalar on the device that needs no gradient."""

    @abstractmethod
    def validate(self, step: int, tensorboard: TensorBoard) -> dict[str, float]:
        """Measures of the averaged weights: `held_out` is their loss on held-out crops. The leading process calls it.

        Raises UserError when they are not finite.
        """

    @abstractmethod
    def is_better(self, line: Mapping[str, float], best: BestRecord) -> bool:
        """Whether weights with these results should be used instead of the best so far."""

    @abstractmethod
    def save_best(self, record: BestRecord) -> None:
        """Write the averaged weights, for rendering."""

    @abstractmethod
    def state(self) -> Tensors:
        """Everything that resuming needs."""

    @abstractmethod
    def load_state(self, tensors: Tensors) -> None:
        """Load the output of `state`. Raises UserError if it does not fit."""

    def summary(self, best: BestRecord) -> str:
        """The best weights so far in a few words, for the progress bar."""
        return ""

    def describe(self) -> dict[str, object]:
        """The task's description in last.safetensors: JSON."""
        return {}

    def check(self, description: Mapping[str, object]) -> None:  # noqa: B027  # by default any description is accepted
        """Raises UserError if a training with that description cannot continue with this task."""


class TrainingLoop:
    """Trains a task to a number of steps, with validations, checkpoints, a log, and resumption.

    Checkpoints are written after each validation, every `checkpoint_seconds`, and when SIGINT or SIGTERM stops the
    training. The first of them includes weights to render with.

    Args:
        task: the model and its data.
        last: the checkpoint to resume from.
        log: the results of validations.
        steps: to train to.
        validate_every: steps between validations; there is one at the last step, too.
        distributed: the processes that train together.
        tensorboard: a folder for its files; None: it is not written.
        checkpoint_seconds: between checkpoints.
    """

    def __init__(
        self,
        task: Task,
        last: Path,
        log: TrainingLog,
        steps: int,
        validate_every: int,
        distributed: DistributedContext,
        tensorboard: Path | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ):
        self.task, self.last, self.log, self.distributed = task, last, log, distributed
        self.steps, self.validate_every, self.checkpoint_seconds = steps, validate_every, checkpoint_seconds
        self.tensorboard = tensorboard
        self.step, self.validated, self.waited = 0, 0, 0.0
        self.best = BestRecord()
        self._losses: list[Tensor] = []

    def fit(self, progress: Progress) -> None:
        """Train to the last step.

        Raises:
            UserError: the checkpoint is damaged, missing, or of another task; or the loss is not finite any more.
            KeyboardInterrupt, SystemExit: SIGINT or SIGTERM stopped the training; a checkpoint has been written.
        """
        self._resume(progress)
        if self.step >= self.steps and not self._due():
            return
        if self.distributed.leads:
            self.task.prepare(progress)
        loader = Loader(self.task.read, self.step, self.steps)
        with (
            StopSignals() as signals,
            progress.bar(self.task.label, self.steps, "step", done=self.step) as bar,
            TensorBoard(self.tensorboard if self.distributed.leads else None) as tensorboard,
        ):
            try:
                self._run(iter(loader), loader, signals, bar, tensorboard)
            except Stopped:
                self._save()
                progress.say(f"stopped at step {self.step} of {self.steps}; it is saved in {self.last.parent}")
                signals.leave()
        progress.say(f"the loader was waited for during {self.waited:.2%} of the training")

    def _run(
        self, batches: Iterator[Tensors], loader: Loader, signals: StopSignals, bar: Bar, tensorboard: TensorBoard
    ) -> None:
        first, working, saved = self.step, 0.0, time.monotonic()
        while True:
            if self._due():
                speed = (self.step - first) / working if working else 0.0
                try:
                    self._validate(tensorboard, {"waited": self.waited, "steps_per_s": speed}, signals)
                except Stopped:
                    self.distributed.any(True)  # the others, which wait at _stops
                    raise
                saved = time.monotonic()
            if self._stops(signals):
                raise Stopped
            if self.step >= self.steps:
                return
            if time.monotonic() - saved >= self.checkpoint_seconds:
                self._save()
                saved = time.monotonic()
            begun = time.perf_counter()
            self._losses.append(self.task.train_step(self.step, next(batches)))
            self.step += 1
            working += time.perf_counter() - begun
            self.waited = loader.waited / working
            bar.advance()
            if self.step % NOTE_STEPS == 0:
                bar.note(self._note((self.step - first) / working))

    def _stops(self, signals: StopSignals) -> bool:
        """Whether a signal stops the training: all processes stop after the same step, whichever of them received it.

        A process that stopped alone would leave the others waiting for its gradients. They agree every AGREE_STEPS
        steps and after validations, since that costs a message.
        """
        here = signals.requested is not None
        if self.distributed.size == 1:
            return here and self.step < self.steps
        agreed = self.step % AGREE_STEPS == 0 or self.step in (self.validated, self.steps)
        return agreed and self.distributed.any(here)

    def _due(self) -> bool:
        """Whether a validation is to be made now."""
        at_end = self.step == self.steps or self.step % self.validate_every == 0
        return self.step > 0 and self.step != self.validated and at_end

    def _note(self, speed: float) -> str:
        loss = float(torch.stack(self._losses[-50:]).mean())
        best = self.task.summary(self.best) if self.best.score >= 0 else ""
        return ", ".join(part for part in (f"loss {loss:.4f}", f"{speed:.2f} steps/s", best) if part)

    def _validate(self, tensorboard: TensorBoard, speed: Mapping[str, float], signals: StopSignals) -> None:
        """Measure, and write the best weights, the checkpoint and the log, in this order.

        A line of the log implies a checkpoint: without it, the checkpoint was lost.
        """
        line: dict[str, float] = {}
        if self._losses:
            line["loss"] = self.distributed.mean(torch.stack(self._losses).mean())
        if self.distributed.leads:
            with signals.interruptible():
                self._measure(line, tensorboard, speed)
        else:
            self.validated, self._losses = self.step, []

    def _measure(self, line: dict[str, float], tensorboard: TensorBoard, speed: Mapping[str, float]) -> None:
        """The part of a validation that the leading process does alone."""
        line |= self.task.validate(self.step, tensorboard)
        better, score = self.task.is_better(line, self.best), line.get("score", 0.0)
        self.best = replace(self.best, highest=max(score, self.best.highest))
        if better:
            self.best = BestRecord(self.step, score, line["held_out"], self.best.highest)
            self.task.save_best(self.best)
        self.validated, self._losses = self.step, []
        self._save(line)
        self.log.append(self.step, line)
        tensorboard.scalars(self.step, {**line, **speed})

    def _save(self, line: Mapping[str, float] | None = None) -> None:
        """Write the checkpoint to resume from, and weights to render with if there are none yet."""
        if not self.distributed.leads or self.step == 0:
            return
        losses = torch.stack(self._losses) if self._losses else torch.zeros(0)
        state = self.task.state()
        for name, tensor in (("the loss", losses), *state.items()):
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise not_finite(name, self.step, self.last.parent)
        if self.best.step == 0:
            self.best = BestRecord(self.step)
            self.task.save_best(self.best)
        record = LastRecord(self.step, self.best, self.validated, dict(line or {}), self.task.describe())
        checkpoint.save(self.last, {**state, LOSSES: losses}, asdict(record))

    def _resume(self, progress: Progress) -> None:
        lines = self.log.read()
        if not self.last.exists():
            if lines:
                raise UserError(
                    f"{self.last} is missing, but {self.log.path} says that this was trained to step "
                    f"{lines[-1]['step']}: restore it from a copy",
                    f"Or remove {self.log.path} to train anew from step 0",
                )
            return
        tensors, record = read_last(self.last)
        self.task.check(record.task)
        self._losses = list(tensors.pop(LOSSES, torch.zeros(0)).to(self.distributed.device))
        self.task.load_state(tensors)
        self.step, self.best = record.step, record.best
        # Checkpoints of svc 0.1 were written after validations only.
        self.validated = record.step if record.validated is None else record.validated
        if record.line and self.distributed.leads and all(line["step"] < self.step for line in lines):
            self.log.append(self.step, record.line)  # it was killed between the checkpoint and the log
        more = self.step < self.steps
        progress.say(f"continuing from step {self.step}" if more else f"trained to step {self.step} already")


def not_finite(what: str, step: int, folder: Path) -> UserError:
    """A training that diverged."""
    return UserError(
        f"training diverged before step {step}: {what} is not finite. The saved checkpoints are unchanged in {folder}",
        "Train a new run with a lower --learning-rate, or another --seed",
    )
