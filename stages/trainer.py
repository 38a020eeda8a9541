"""Training the acoustic model: steps, validation, checkpoints."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..pipeline.diffusion import Batch, Diffusion
from ..pipeline.frames import seconds_to_mel_frames
from ..pipeline.projection import SoftProjection
from ..pipeline.sampling import sample
from . import checkpoint
from .dataset import Corpus, Crops, to_batch
from .errors import UserError
from .picture import save_comparison
from .progress import Progress
from .run import Run, fork_generator
from .settings import TrainSettings
from .units import unit_statistics

VALIDATION_BATCHES = 8
LISTEN_FRAMES = 600  # mel frames of a held-out utterance that are sampled to be looked at, 7 s
LISTEN_STEPS = 20


class Trainer:
    """The acoustic model's training: what a step does depends on the step and what was before, on nothing else."""

    def __init__(self, run: Run, corpus: Corpus, settings: TrainSettings, unit_layer: int, device: str):
        self.run, self.corpus, self.settings, self.device = run, corpus, settings, device
        projection = run.load_units()[1]
        frames = seconds_to_mel_frames(settings.crop_seconds)
        self.crops = Crops(corpus.train, corpus.speakers, unit_layer, frames, settings.batch, settings.seed)
        self.held_out = Crops(corpus.held_out, corpus.speakers, unit_layer, frames, settings.batch, settings.seed)
        torch.manual_seed(settings.seed)
        self.model = run.new_model()
        _measure(self.model, corpus, unit_layer, projection)
        self.projection = projection.to(device)
        self.model.to(device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=1e-2
        )
        self.step, self.best_step, self.best_loss = 0, 0, float("inf")
        self.bf16 = run.facts["precision"] == "bf16"

    def fit(self, progress: Progress) -> tuple[int, float]:
        """Train to the last step asked for; returns the best step and its held-out loss."""
        if self.run.last.exists():
            self._resume()
            more = self.step < self.settings.steps
            progress.say(f"going on from step {self.step}" if more else f"trained to step {self.step} already")
        settings = self.settings
        with progress.bar("training", settings.steps, "step", done=self.step) as bar:
            losses: list[float] = []
            for arrays in self._batches():
                losses.append(self._train_step(to_batch(arrays, self.projection, self.device)))
                bar.advance()
                if self.step % 10 == 0:
                    held_out = f", held out {self.best_loss:.4f}" if self.best_step else ""
                    bar.note(f"loss {np.mean(losses[-50:]):.4f}{held_out}")
                if self.step % settings.validate_every == 0 or self.step == settings.steps:
                    self._validate(float(np.mean(losses)))
                    losses = []
        return self.best_step, self.best_loss

    def listen(self) -> float:
        """Sample a held-out utterance, draw it beside the truth, and return the mean |difference| in ln magnitude."""
        model, _ = self.run.load_best(self.device)
        clip = self.corpus.held_out[0]
        arrays = self.held_out.whole(clip, LISTEN_FRAMES)
        batch = to_batch(arrays, self.projection, self.device)
        mel = sample(model, batch, fork_generator(self.settings.seed, 9), LISTEN_STEPS)[0].cpu().numpy()
        truth, f0 = arrays["mel"][0], arrays["f0"][0] * arrays["voiced"][0]
        save_comparison(self.run.path / "held_out.png", (f"{clip.id}, as recorded", truth, f0), ("as sampled", mel, f0))
        return float(np.abs(mel - truth).mean())

    def _batches(self) -> Iterator[dict[str, Any]]:
        """What the remaining steps see, read one step ahead."""
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self.crops.batch, self.step)
            for step in range(self.step, self.settings.steps):
                arrays = ahead.result()
                ahead = reader.submit(self.crops.batch, step + 1)
                yield arrays

    def _train_step(self, batch: Batch) -> float:
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (self.step + 1) / settings.warmup)
        with self._precision():
            loss = self.model.loss(batch, fork_generator(settings.seed, 3, self.step))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.model.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        return loss.item()

    @torch.no_grad()
    def _validate(self, train_loss: float) -> None:
        """The averaged model's loss on held-out crops, the same every time; then both checkpoints."""
        total = 0.0
        for number in range(VALIDATION_BATCHES):
            batch = to_batch(self.held_out.batch(number), self.projection, self.device)
            with self._precision():
                total += self.average.loss(batch, fork_generator(self.settings.seed, 4, number)).item()
        loss = total / VALIDATION_BATCHES
        if not math.isfinite(loss):
            raise UserError(
                f"training came apart before step {self.step}: the loss is {loss}. What was saved is untouched in "
                f"{self.run.path}; train anew with another --seed, or a smaller --preset"
            )
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            checkpoint.save(self.run.best, checkpoint.prefixed("ema", self.average), self._facts())
        # Last of all: from here a killed run goes on, and finds the best one there already.
        tensors: dict[str, Tensor] = {
            **checkpoint.prefixed("model", self.model),
            **checkpoint.prefixed("ema", self.average),
            **checkpoint.optimizer_state(self.optimizer),
        }
        self._log({"step": self.step, "loss": round(train_loss, 5), "held_out": round(loss, 5)})
        checkpoint.save(self.run.last, tensors, self._facts())

    def _facts(self) -> dict[str, Any]:
        return {"step": self.step, "best_step": self.best_step, "best_loss": self.best_loss}

    def _resume(self) -> None:
        tensors, facts = checkpoint.load(self.run.last)
        checkpoint.restore("model", self.model, tensors)
        checkpoint.restore("ema", self.average, tensors)
        checkpoint.restore_optimizer(self.optimizer, tensors)
        self.step, self.best_step, self.best_loss = facts["step"], facts["best_step"], facts["best_loss"]
        _trim_log(self.run.log, self.step)

    def _log(self, line: dict[str, Any]) -> None:
        with self.run.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _precision(self) -> Any:
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16) if self.bf16 else nullcontext()


def _measure(model: Diffusion, corpus: Corpus, unit_layer: int, projection: SoftProjection) -> None:
    """The scale of mels and units, from the training clips."""
    mels = np.concatenate([clip.mel for clip in corpus.train[:400]]).astype(np.float32)
    model.mel_mean.copy_(torch.from_numpy(mels.mean(0)))
    model.mel_scale.copy_(torch.from_numpy(mels.std(0)).clamp(min=0.1))
    mean, scale = unit_statistics(corpus.train, unit_layer, projection)
    model.condition.unit_mean.copy_(mean)
    model.condition.unit_scale.copy_(scale)


def _trim_log(path: Path, step: int) -> None:
    """Drop what a killed run logged after its last checkpoint: it will be logged again."""
    if path.exists():
        lines = [line for line in path.read_text("utf-8").splitlines() if line.startswith("{")]
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), "utf-8")
