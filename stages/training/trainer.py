"""Training the acoustic model: steps, validation, checkpoints."""

from __future__ import annotations

import copy
import json
import math
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...common.errors import UserError
from ...common.progress import Progress
from ...common.random import CropStream, NoiseStream, fork_generator
from ...pipeline.diffusion.diffusion import Diffusion
from ...pipeline.diffusion.sampling import sample
from ...pipeline.frames import seconds_to_mel_frames
from .. import checkpoint
from ..checkpoint_records import BestRecord, LastRecord
from ..picture import save_comparison
from ..run import Run
from ..settings import TrainSettings
from .conversion_probe import ConversionProbe
from .corpus import Corpus
from .crops import Augmentation, Crops, Tensors, add_noise, completed, to_batch, to_noise
from .distributed import DistributedContext
from .loader import Loader
from .pretrained import copy_weights
from .schedule import learning_rate
from .tensorboard import TensorBoard
from .units import unit_statistics
from .verdict import verdict

VALIDATION_BATCHES = 8
LISTEN_FRAMES = 600  # mel frames of a held-out utterance that are sampled to be looked at, 7 s


class Trainer:
    """The acoustic model's training: what a step does depends on the step and what was before, on nothing else."""

    def __init__(self, run: Run, corpus: Corpus, settings: TrainSettings, distributed: DistributedContext):
        self.run, self.corpus, self.settings, self.distributed = run, corpus, settings, distributed
        self.device = distributed.device
        codebook, projection = run.load_units()
        column, frames = run.config.unit_column.name, seconds_to_mel_frames(settings.crop_seconds)
        pitch_shifts, formant_shifts = (
            run.begun_with(columns) for columns in (corpus.pitch_shifts, corpus.formant_shifts(column))
        )
        augmentation = Augmentation(pitch_shifts, settings.volume_db, formant_shifts)
        speakers, size, seed = corpus.speakers, settings.batch, settings.seed
        self.crops = Crops(corpus.train, speakers, column, frames, size, seed, augmentation)
        self.held_out = Crops(corpus.held_out, speakers, column, frames, size, seed, stream=CropStream.VALIDATION)
        torch.manual_seed(seed)
        self.model = run.new_model()
        if run.config.init_from:
            copy_weights(self.model, Run.open(Path(run.config.init_from)), speakers)
        else:
            _measure(self.model, corpus, column, projection)
        self.projection = projection.to(self.device)
        self.model.to(self.device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.shared = distributed.share(self.model)
        # Fused: one pass over the weights for all of AdamW's arithmetic.
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=1e-2, fused=True
        )
        self.bf16 = run.config.precision == "bf16"
        self.step, self.best, self.waited = 0, BestRecord(), 0.0
        self.probe = ConversionProbe(run, corpus, codebook, self.model, self.held_out, distributed)

    def fit(self, progress: Progress) -> None:
        """Train to the last step asked for."""
        settings = self.settings
        if self.run.last.exists():
            self._resume()
            more = self.step < settings.steps
            progress.say(f"going on from step {self.step}" if more else f"trained to step {self.step} already")
        if self.step >= settings.steps:
            return
        self.probe.prepare(progress)
        loader = Loader(self._read, self.step, settings.steps)
        with (
            progress.bar("training", settings.steps, "step", done=self.step) as bar,
            TensorBoard(self.run, self.distributed) as tensorboard,
        ):
            losses: list[Tensor] = []
            begun, working, first = time.perf_counter(), 0.0, self.step
            for tensors in loader:
                losses.append(self._train_step(tensors))
                bar.advance()
                if self.step % 10 == 0:
                    spent = working + time.perf_counter() - begun
                    told = (
                        f"loss {float(torch.stack(losses[-50:]).mean()):.4f}, {(self.step - first) / spent:.2f} steps/s"
                    )
                    bar.note(told + (f", converts {self.best.score:.3f} at {self.best.step}" if self.best.step else ""))
                if self.step % settings.validate_every == 0 or self.step == settings.steps:
                    working += time.perf_counter() - begun
                    self.waited = loader.waited / working
                    line = {"loss": self.distributed.mean(torch.stack(losses).mean()), **self._validate(tensorboard)}
                    tensorboard.scalars(
                        self.step, {**line, "waited": self.waited, "steps_per_s": (self.step - first) / working}
                    )
                    self._keep(line)
                    losses, begun = [], time.perf_counter()
        progress.say(f"the loader was waited for during {self.waited:.2%} of the training")

    def verdict(self) -> str:
        """Whether more training would help, in a sentence."""
        lines = [json.loads(line) for line in self.run.log.read_text("utf-8").splitlines()]
        return verdict([(line["step"], line["score"]) for line in lines], self.best.step)

    def listen(self) -> float:
        """Sample a held-out utterance as a render would, draw it beside the truth; the mean |difference| of ln mels."""
        model, _ = self.run.load_best(self.device)
        clip = self.corpus.held_out[0]
        tensors = self.held_out.whole(clip, LISTEN_FRAMES)
        batch = to_batch(tensors, self.projection, self.device)
        mel = sample(model, batch, fork_generator(self.settings.seed, NoiseStream.RECONSTRUCTION))[0].cpu().numpy()
        inputs = {name: value.numpy() for name, value in completed(tensors, "cpu").items()}
        truth, f0 = inputs["mel"][0], inputs["f0"][0] * inputs["voiced"][0]
        save_comparison(self.run.path / "held_out.png", (f"{clip.id}, as recorded", truth, f0), ("as sampled", mel, f0))
        return float(np.abs(mel - truth).mean())

    def _read(self, step: int) -> Tensors:
        """What this process sees in a step, and what chance decides in it."""
        part, parts = self.distributed.rank, self.distributed.size
        tensors = self.crops.batch(step, part, parts)
        bins = self.model.shape.bins
        return add_noise(tensors, fork_generator(self.settings.seed, NoiseStream.TRAINING, step), bins, part, parts)

    def _train_step(self, tensors: Tensors) -> Tensor:
        """One step; returns this process's share of the loss, times the number of processes."""
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(settings, self.step)
        batch, chance = to_batch(tensors, self.projection, self.device), to_noise(tensors, self.device)
        with self._precision():
            errors = self.shared(batch, chance)
        # Processes' gradients are averaged, and the mean is over all of their frames.
        loss = errors.sum() * (self.distributed.size / float(tensors["total_frames"]))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        return loss.detach()

    @torch.no_grad()
    def _validate(self, tensorboard: TensorBoard) -> dict[str, float]:
        """How the averaged model does: its loss on held-out crops, the same every time, and how it converts."""
        total = 0.0
        for number in range(VALIDATION_BATCHES):
            batch = to_batch(self.held_out.batch(number), self.projection, self.device)
            with self._precision():
                total += self.average.loss(
                    batch, fork_generator(self.settings.seed, NoiseStream.VALIDATION, number)
                ).item()
        loss = total / VALIDATION_BATCHES
        if not math.isfinite(loss):
            raise UserError(
                f"training came apart before step {self.step}: the loss is {loss}. What was saved is untouched in "
                f"{self.run.path}; train anew with a lower --learning-rate, or another --seed"
            )
        heard = self.probe(self.average, self.projection, tensorboard, self.step)
        return {"held_out": loss, **heard}

    def _keep(self, line: dict[str, float]) -> None:
        """Both checkpoints, and the log."""
        if line["score"] > self.best.score:
            self.best = BestRecord(self.step, line["score"], line["held_out"])
            if self.distributed.leads:
                checkpoint.save(self.run.best, checkpoint.prefixed("ema", self.average), asdict(self.best))
        if not self.distributed.leads:
            return
        # Last of all: from here a killed run goes on, and finds the best one there already.
        tensors: dict[str, Tensor] = {
            **checkpoint.prefixed("model", self.model),
            **checkpoint.prefixed("ema", self.average),
            **checkpoint.optimizer_state(self.optimizer),
        }
        with self.run.log.open("a", encoding="utf-8") as file:
            file.write(
                json.dumps({"step": self.step, **{name: round(value, 5) for name, value in line.items()}}) + "\n"
            )
        checkpoint.save(self.run.last, tensors, asdict(LastRecord(self.step, self.best)))

    def _resume(self) -> None:
        tensors, record = checkpoint.load_record(self.run.last, LastRecord)
        checkpoint.restore("model", self.model, tensors)
        checkpoint.restore("ema", self.average, tensors)
        checkpoint.restore_optimizer(self.optimizer, tensors)
        self.step, self.best = record.step, record.best
        if self.distributed.leads:
            _trim_log(self.run.log, self.step)

    def _precision(self) -> Any:
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16) if self.bf16 else nullcontext()


def _measure(model: Diffusion, corpus: Corpus, column: str, projection: nn.Module) -> None:
    """The scale of mels and units, from the training clips."""
    mels = np.concatenate([clip.mel for clip in corpus.train[:400]]).astype(np.float32)
    model.mel_mean.copy_(torch.from_numpy(mels.mean(0)))
    model.mel_scale.copy_(torch.from_numpy(mels.std(0)).clamp(min=0.1))
    mean, scale = unit_statistics(corpus.train, column, projection)
    model.condition.unit_mean.copy_(mean)
    model.condition.unit_scale.copy_(scale)


def _trim_log(path: Path, step: int) -> None:
    """Drop what a killed run logged after its last checkpoint: it will be logged again."""
    if path.exists():
        lines = [line for line in path.read_text("utf-8").splitlines() if line.startswith("{")]
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), "utf-8")
