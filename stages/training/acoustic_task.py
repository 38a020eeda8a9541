"""Training the acoustic model: its step, its validation, and its checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...common.progress import Progress
from ...common.random import CropStream, NoiseStream, fork_generator
from ...pipeline.diffusion.diffusion import Diffusion
from ...pipeline.diffusion.sampling import sample
from ...pipeline.frames import seconds_to_mel_frames
from .. import checkpoint
from ..checkpoint_records import BestRecord
from ..picture import save_comparison
from ..run import Run
from ..training_log import TrainingLog
from .conversion_probe import ConversionProbe
from .corpus import Corpus
from .crops import Augmentation, Crops, Tensors, add_noise, completed, to_batch, to_noise
from .distributed import DistributedContext
from .learner import Learner
from .loop import Task, TrainingLoop, not_finite
from .pretrained import copy_weights, recorded_base
from .schedule import learning_rate
from .statistics import mel_statistics, unit_statistics
from .tensorboard import TensorBoard

VALIDATION_BATCHES = 8
TIE = 0.03  # relative: scores that differ by less are equal. They come from 8 clips, and vary by about as much
PICTURE_FRAMES = 600  # mel frames of a held-out utterance that are sampled for a picture, 7 s


class AcousticTask(Task):
    """The acoustic model of a run."""

    label = "training"

    def __init__(self, run: Run, corpus: Corpus, distributed: DistributedContext):
        self.run, self.corpus, self.distributed = run, corpus, distributed
        self.settings, self.device = run.config.settings, distributed.device
        self.bf16 = run.config.precision == "bf16"
        codebook, projection = run.load_units()
        self.crops = self._crops(augmented=True)
        self.held_out = self._crops(augmented=False)
        torch.manual_seed(self.settings.seed)
        model = run.new_model()
        if run.last.exists():
            pass  # its weights and scales are loaded by `load_state`
        elif base := recorded_base(run):
            copy_weights(model, base, corpus.speakers)
        else:
            _set_scales(model, corpus, run.config.unit_column.name, projection)
        self.projection = projection.to(self.device)
        self.learner: Learner[Diffusion] = Learner(
            model.to(self.device), distributed, self.settings.learning_rate, (0.9, 0.98), 1.0, self.settings.ema
        )
        self.probe = ConversionProbe(run, corpus, codebook, model.normalise, self.held_out, self.device)

    @property
    def average(self) -> Diffusion:
        """The averaged weights, which rendering uses."""
        return self.learner.average

    def loop(self) -> TrainingLoop:
        """The loop that trains this task to the run's last step."""
        return TrainingLoop(
            self,
            self.run.last,
            TrainingLog(self.run.log),
            self.settings.steps,
            self.settings.validate_every,
            self.distributed,
            self.run.path / "tensorboard",
        )

    def prepare(self, progress: Progress) -> None:
        self.probe.prepare(progress)

    def read(self, step: int) -> Tensors:
        part, parts = self.distributed.rank, self.distributed.size
        tensors = self.crops.batch(step, part, parts)
        return add_noise(tensors, self.settings.seed, step, self.run.config.shape.bins, part, parts)

    def train_step(self, step: int, tensors: Tensors) -> Tensor:
        """Update the weights on `Crops.batch` with noise.

        The loss is this process's share times the number of processes: their gradients are averaged, so that together
        they are that of the mean over all frames.
        """
        batch, noise = to_batch(tensors, self.projection, self.device), to_noise(tensors, self.device)
        with self._precision():
            errors = self.learner.shared(batch, noise)
        loss = errors.sum() * (self.distributed.size / float(tensors["total_frames"]))
        self.learner.update(loss, learning_rate(self.settings, step), step)
        return loss.detach()

    @torch.no_grad()
    def validate(self, step: int, tensorboard: TensorBoard) -> dict[str, float]:
        """The loss on held-out crops, the same every time, and how well held-out utterances are converted."""
        losses = []
        for number in range(VALIDATION_BATCHES):
            batch = to_batch(self.held_out.batch(number), self.projection, self.device)
            generator = fork_generator(self.settings.seed, NoiseStream.VALIDATION, number)
            with self._precision():
                losses.append(self.average.loss(batch, generator).item())
        loss = sum(losses) / VALIDATION_BATCHES
        if not math.isfinite(loss):
            raise not_finite("the loss", step, self.run.path)
        return {"held_out": loss, **self.probe(self.average, self.projection, tensorboard, step)}

    def is_better(self, line: Mapping[str, float], best: BestRecord) -> bool:
        return converts_better(line, best)

    def save_best(self, record: BestRecord) -> None:
        checkpoint.save(self.run.best, checkpoint.prefixed("ema", self.average), asdict(record))

    def summary(self, best: BestRecord) -> str:
        return f"converts {best.score:.3f} at {best.step}"

    def state(self) -> Tensors:
        return self.learner.state()

    def load_state(self, tensors: Tensors) -> None:
        self.learner.load_state(tensors)

    def reconstruct(self) -> float:
        """Sample a held-out utterance as rendering would, and draw it beside the recording in held_out.png.

        Returns the mean |difference| of the ln mels.
        """
        model, _ = self.run.load_best(self.device)
        clip = self.corpus.held_out[0]
        tensors = self.held_out.whole(clip, PICTURE_FRAMES)
        batch = to_batch(tensors, self.projection, self.device)
        mel = sample(model, batch, fork_generator(self.settings.seed, NoiseStream.RECONSTRUCTION))[0].cpu().numpy()
        inputs = {name: value.numpy() for name, value in completed(tensors, "cpu").items()}
        truth, f0 = inputs["mel"][0], inputs["f0"][0] * inputs["voiced"][0]
        save_comparison(self.run.path / "held_out.png", (f"{clip.id}, as recorded", truth, f0), ("as sampled", mel, f0))
        return float(np.abs(mel - truth).mean())

    def _crops(self, augmented: bool) -> Crops:
        """Crops of the training clips, or of the held-out ones."""
        config, corpus, settings = self.run.config, self.corpus, self.settings
        augmentation = None
        if augmented:
            augmentation = Augmentation(
                self.run.begun_with(corpus.pitch_shifts),
                settings.volume_db,
                self.run.begun_with(corpus.formant_shifts(config.unit_column.name)),
            )
        return Crops(
            corpus.train if augmented else corpus.held_out,
            corpus.speakers,
            config.unit_column.name,
            seconds_to_mel_frames(settings.crop_seconds),
            settings.batch,
            settings.seed,
            augmentation,
            CropStream.TRAINING if augmented else CropStream.VALIDATION,
        )

    def _precision(self) -> AbstractContextManager[Any]:
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16) if self.bf16 else nullcontext()


def converts_better(line: Mapping[str, float], best: BestRecord) -> bool:
    """Whether a validation's weights are to be preferred to the best so far.

    Among those whose score is within TIE of the highest, the ones with the lowest held-out loss are.
    """
    least = max(line["score"], best.highest) * (1 - TIE)
    if line["score"] < least:
        return False
    return best.loss is None or best.score < least or line["held_out"] < best.loss


def _set_scales(model: Diffusion, corpus: Corpus, column: str, projection: nn.Module) -> None:
    """The scales of mels and units, from the training clips."""
    for (mean, scale), values in (
        ((model.mel_mean, model.mel_scale), mel_statistics(corpus.train)),
        ((model.condition.unit_mean, model.condition.unit_scale), unit_statistics(corpus.train, column, projection)),
    ):
        mean.copy_(values[0])
        scale.copy_(values[1])
