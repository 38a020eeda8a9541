"""Training a run's neural vocoder: its step, its validation, and its checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ...common.differences import differences
from ...common.errors import UserError
from ...common.progress import Progress
from ...common.records import RecordError, read_record
from ...pipeline import mel as mels
from ...pipeline.vocoder.discriminator import Discriminator, mel_loss, spectral_loss
from ...pipeline.vocoder.source_filter import Shape, SourceFilterNet
from .. import checkpoint
from ..checkpoint_records import BestRecord, VocoderRecord
from ..devices import pick_precision
from ..run import Run
from ..settings import VocoderSettings
from ..training_log import TrainingLog
from .crops import Tensors, to_device
from .distributed import DistributedContext
from .learner import Learner
from .loop import Task, TrainingLoop, not_finite
from .schedule import exponential_rate
from .tensorboard import TensorBoard
from .vocoder_crops import VocoderCrops
from .waveforms import Recordings

VALIDATION_CROPS = 16
LARGEST_GRADIENT = 10.0
FEATURE_MATCHING = 2.0  # weight of the feature-matching loss beside the adversarial one
# Names of parts of vocoder-last.safetensors in svc 0.1.
OLD_PREFIXES = {
    "judge.judges.": "discriminator.resolutions.",
    "own.optimizer.": "network_optimizer.",
    "judges.optimizer.": "discriminator_optimizer.",
}


@dataclass(frozen=True)
class Description:
    """The training's description in vocoder-last.safetensors: its settings, and the error before the first step."""

    settings: VocoderSettings
    untrained_mel_error: float | None = None


class VocoderTask(Task):
    """The neural vocoder of a run: spectral losses, later with a discriminator."""

    label = "training the vocoder"

    def __init__(
        self,
        run: Run,
        train: Recordings,
        held_out: Recordings,
        settings: VocoderSettings,
        distributed: DistributedContext,
    ):
        self.run, self.settings, self.distributed = run, settings, distributed
        self.device = distributed.device
        self.crops, self.held_out = VocoderCrops(train, settings), VocoderCrops(held_out, settings)
        self.bf16 = pick_precision(settings.precision, self.device) == "bf16"
        torch.manual_seed(settings.seed)
        network = SourceFilterNet(Shape(settings.channels, settings.layers)).to(self.device)
        discriminator = Discriminator(settings.discriminator_channels).to(self.device)
        network.filters.bf16 = self.bf16
        rate, betas = settings.learning_rate, (0.8, 0.99)
        self.network: Learner[SourceFilterNet] = Learner(
            network,
            distributed,
            rate,
            betas,
            LARGEST_GRADIENT,
            settings.ema,
            ("network", "ema", "network_optimizer"),
            wrapped=False,
        )
        self.discriminator: Learner[Discriminator] = Learner(
            discriminator,
            distributed,
            rate,
            betas,
            LARGEST_GRADIENT,
            names=("discriminator", "", "discriminator_optimizer"),
            wrapped=False,
        )
        self.mel_error, self.untrained_mel_error = math.nan, math.nan

    def loop(self) -> TrainingLoop:
        """The loop that trains this task to the last step."""
        return TrainingLoop(
            self,
            self.run.last_vocoder,
            TrainingLog(self.run.vocoder_log),
            self.settings.steps,
            self.settings.validate_every,
            self.distributed,
        )

    def prepare(self, progress: Progress) -> None:
        if math.isnan(self.untrained_mel_error):
            self.untrained_mel_error = self.mel_error_of_average()

    def read(self, step: int) -> Tensors:
        return self.crops.batch(step, self.distributed.rank, self.distributed.size)

    def train_step(self, step: int, tensors: Tensors) -> Tensor:
        crops = self._to_device(tensors)
        rate, truth = exponential_rate(self.settings, step), crops["wav"]
        wav = _synthesized(self.network.module, crops)
        adversarial = step >= self.settings.discriminator_after
        if adversarial:
            with self._precision():
                loss = self.discriminator.module.loss(wav, truth)
            self.discriminator.update(loss, rate, step)
        spectral = spectral_loss(wav, truth) + mel_loss(wav, truth)
        loss = spectral
        if adversarial:
            with self._precision():
                fooling, matching = self.discriminator.module.generator_losses(wav, truth)
            loss = loss + self.settings.adversarial_weight * (fooling + FEATURE_MATCHING * matching)
        self.network.update(loss, rate, step)
        return spectral.detach()

    def validate(self, step: int, tensorboard: TensorBoard) -> dict[str, float]:
        self.mel_error = self.mel_error_of_average()
        if not math.isfinite(self.mel_error):
            raise not_finite("the vocoder's error", step, self.run.path)
        return {"held_out": self.mel_error}

    def is_better(self, line: Mapping[str, float], best: BestRecord) -> bool:
        """Always: with a discriminator the mel error rises while the sound gets better."""
        return True

    def save_best(self, record: BestRecord) -> None:
        untrained = None if math.isnan(self.untrained_mel_error) else self.untrained_mel_error
        found = VocoderRecord(
            "svc own vocoder", self.settings, mels.SETTINGS, record.step, record.loss, untrained_mel_error=untrained
        )
        checkpoint.save(self.run.vocoder, checkpoint.prefixed("ema", self.network.average), asdict(found))

    def summary(self, best: BestRecord) -> str:
        return "" if best.loss is None else f"held out {best.loss:.3f} ln mel"

    def state(self) -> Tensors:
        return {**self.network.state(), **self.discriminator.state()}

    def load_state(self, tensors: Tensors) -> None:
        for old, new in OLD_PREFIXES.items():
            tensors = {
                new + name.removeprefix(old) if name.startswith(old) else name: tensor
                for name, tensor in tensors.items()
            }
        self.network.load_state(tensors)
        self.discriminator.load_state(tensors)

    def describe(self) -> dict[str, object]:
        untrained = None if math.isnan(self.untrained_mel_error) else self.untrained_mel_error
        return asdict(Description(self.settings, untrained))

    def check(self, description: Mapping[str, object]) -> None:
        last = self.run.last_vocoder
        try:
            before = read_record(Description, description)
        except RecordError as error:
            raise UserError(f"{last} is damaged: {error}", f"Remove it and {self.run.vocoder} to train anew") from error
        ignored = {"steps": 0, "batch": 0, "precision": ""}
        old, new = ({**asdict(settings), **ignored} for settings in (before.settings, self.settings))
        if changed := differences(old, new, "in the run", "asked for"):
            raise UserError(
                f"the vocoder in {self.run.path} was begun with other settings:\n{changed}",
                f"Give the same ones, or remove {last} and {self.run.vocoder} to train anew",
            )
        self.untrained_mel_error = math.nan if before.untrained_mel_error is None else before.untrained_mel_error

    @torch.no_grad()
    def mel_error_of_average(self) -> float:
        """The averaged weights' mean |difference| in ln mel on held-out crops, the same every time."""
        errors = []
        for number in range(-(-VALIDATION_CROPS // self.settings.batch)):
            crops = self._to_device(self.held_out.batch(number, gains=False))
            errors.append(mel_loss(_synthesized(self.network.average, crops), crops["wav"]).item())
        return sum(errors) / len(errors)

    def _to_device(self, tensors: Tensors) -> Tensors:
        return {name: to_device(value, self.device) for name, value in tensors.items()}

    def _precision(self) -> AbstractContextManager[Any]:
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16) if self.bf16 else nullcontext()


def _synthesized(network: SourceFilterNet, crops: Tensors) -> Tensor:
    """The network's sound of some crops: float32 (B, T)."""
    wav: Tensor = network(crops["mel"], crops["f0"], crops["pulses"], crops["noise"])
    return wav
