"""The acoustic model: units, pitch, loudness and speaker in, log mel out, by diffusion."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import ConvNeXt, pitch_embedding
from ..projection import gather
from .batch import Batch, NoiseSample
from .denoiser import new_denoiser
from .objective import Objective
from .shape import ModelShape

PITCH_FEATURES = 16  # sines and cosines each, of log2 f0


class Condition(nn.Module):
    """Units, pitch, loudness and speaker: a Batch -> (B, condition, M)."""

    unit_mean: Tensor
    unit_scale: Tensor

    def __init__(self, shape: ModelShape):
        super().__init__()
        self.register_buffer("unit_mean", torch.zeros(shape.unit_dim))
        self.register_buffer("unit_scale", torch.ones(shape.unit_dim))
        self.projected = nn.Linear(shape.unit_dim, shape.projected) if shape.projected else nn.Identity()
        self.units = nn.Linear(shape.projected or shape.unit_dim, shape.architecture.condition)
        self.pitch = nn.Linear(2 * PITCH_FEATURES + 1, shape.architecture.condition)
        self.loudness = nn.Linear(1, shape.architecture.condition)
        self.speaker = nn.Embedding(shape.speakers, shape.architecture.condition)
        self.shift = nn.Linear(1, shape.architecture.condition, bias=False)
        self.context = nn.Conv1d(shape.architecture.condition, shape.architecture.condition, 5, padding=2)

    def forward(self, batch: Batch) -> Tensor:
        """A batch of M mel frames -> (B, condition, M)."""
        # Before the gather, whose zero row must stay zero, and at 50 frames a second instead of 86.
        units = self.projected((batch.units - self.unit_mean) / self.unit_scale)
        units = gather(self.units(units), batch.mel2ph)
        pitch = torch.cat([*pitch_embedding(batch.f0, PITCH_FEATURES, 3), batch.voiced[..., None]], dim=-1)
        speaker = self.speaker(batch.speaker) if batch.speaker.dim() == 1 else batch.speaker @ self.speaker.weight
        if speaker.dim() == 2:  # one for the whole utterance
            speaker = speaker[:, None]
        whole = units + self.pitch(pitch) + self.loudness(batch.loudness[..., None] / 20 + 2) + speaker
        if batch.shift is not None:
            whole = whole + self.shift(batch.shift[:, None, None] / 12)
        whole = (whole * batch.mask[..., None]).transpose(1, 2)
        return whole + self.context(F.silu(whole))


class AuxiliaryDecoder(nn.Module):
    """Predicts the mel by regression, for shallow diffusion to start from: (B, condition, M) -> (B, bins, M).

    ConvNeXt blocks over the condition, as in openvpi/DiffSinger.
    """

    def __init__(self, shape: ModelShape):
        super().__init__()
        sizes = shape.architecture
        self.input = nn.Conv1d(sizes.condition, sizes.decoder_channels, 1)
        self.blocks = nn.ModuleList(ConvNeXt(sizes.decoder_channels) for _ in range(sizes.decoder_layers))
        self.output = nn.Conv1d(sizes.decoder_channels, shape.bins, 1)

    def forward(self, condition: Tensor) -> Tensor:
        """(B, condition, M) -> a mel (B, bins, M), on the diffusion's scale."""
        x = self.input(condition)
        for block in self.blocks:
            x = block(x)
        return self.output(x)


class Diffusion(nn.Module):
    """The acoustic model: condition, denoiser, auxiliary decoder, an objective, and the mel's scale.

    `shallow_depth` is the share of the noise steps that the model is trained on. Below 1, sampling starts from the
    auxiliary decoder's output with that share of the steps to go (shallow diffusion: Liu et al., 2022, arXiv
    2105.02446).
    """

    mel_mean: Tensor
    mel_scale: Tensor

    def __init__(self, shape: ModelShape, objective: Objective, shallow_depth: float = 1.0):
        super().__init__()
        if not 0 < shallow_depth <= 1 or (shallow_depth < 1 and not shape.architecture.decoder_layers):
            raise ValueError(
                f"shallow_depth {shallow_depth} must lie in 0..1, and less than 1 needs an auxiliary decoder"
            )
        self.shape, self.objective, self.shallow_depth = shape, objective, shallow_depth
        self.condition = Condition(shape)
        self.decoder = AuxiliaryDecoder(shape) if shape.architecture.decoder_layers else None
        self.denoiser = new_denoiser(shape.architecture, shape.bins)
        self.register_buffer("mel_mean", torch.zeros(shape.bins))
        self.register_buffer("mel_scale", torch.ones(shape.bins))

    def normalise(self, mel: Tensor) -> Tensor:
        """ln magnitude (B, M, bins) -> what is diffused, (B, bins, M): each bin with mean 0 and deviation 1."""
        return ((mel - self.mel_mean) / self.mel_scale).transpose(1, 2)

    def denormalise(self, x: Tensor) -> Tensor:
        """(B, bins, M) -> ln magnitude (B, M, bins)."""
        return x.transpose(1, 2) * self.mel_scale + self.mel_mean

    def predict(self, x: Tensor, step: Tensor, projected: tuple[Tensor, ...]) -> Tensor:
        """The objective's prediction from a noisy mel (B, bins, M) at noise steps (B,), given `denoiser.project`."""
        return self.objective.predict(lambda x, step: self.denoiser(x, step, projected), x, step)

    def forward(self, batch: Batch, sampled: NoiseSample) -> Tensor:
        """The squared error of the prediction, plus the absolute error of an auxiliary decoder, averaged over the bins
        of each frame: (B, M), 0 on padding.
        """
        assert batch.mel is not None
        x0 = self.normalise(batch.mel)
        step = self.objective.training_steps(sampled.uniform, self.shallow_depth)
        noisy, target = (of(x0, sampled.noise, step) for of in (self.objective.noise, self.objective.target))
        condition = self.condition(batch)
        # Beyond an utterance's end the denoiser's input is zero, as in rendering.
        predicted = self.predict(noisy * batch.mask[:, None], step, self.denoiser.project(condition))
        error = (predicted.float() - target).square().mean(1)
        if self.decoder is not None:
            error = error + (self.decoder(condition).float() - x0).abs().mean(1)
        return error * batch.mask

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """The mean of `forward` over the frames that are no padding: a scalar."""
        sampled = NoiseSample.of(generator, len(batch.mask), self.shape.bins, batch.mask.shape[1])
        sampled = NoiseSample(sampled.uniform.to(batch.mask.device), sampled.noise.to(batch.mask.device))
        return self(batch, sampled).sum() / batch.mask.sum()
