"""DiffWave's WaveNet as a denoiser (Kong et al., 2021, arXiv 2009.09761), as in Diff-SVC and Diffusion-SVC."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import position_embedding


class WaveNet(nn.Module):
    """Gated dilated convolutions with skips.

    prophesier/diff-svc (DiffNet) has 20 layers of 384 and cycle 4, CNChTu/Diffusion-SVC 20 of 512 and cycle 1.

    Args:
        bins: mel bins in and out.
        condition: channels of the condition.
        channels: residual channels C.
        layers: residual blocks.
        dilation_cycle: block i has dilation 2 ** (i % dilation_cycle).
    """

    def __init__(self, bins: int, condition: int, channels: int, layers: int, dilation_cycle: int = 4):
        super().__init__()
        self.layers = layers
        self.input = nn.Conv1d(bins, channels, 1)
        self.step = nn.Sequential(nn.Linear(channels, 4 * channels), nn.Mish(), nn.Linear(4 * channels, channels))
        self.condition = nn.Conv1d(condition, layers * 2 * channels, 1)  # of all blocks at once
        self.blocks = nn.ModuleList(Block(channels, 2 ** (i % dilation_cycle)) for i in range(layers))
        self.skip = nn.Conv1d(channels, channels, 1)
        self.output = nn.Conv1d(channels, bins, 1)
        assert self.output.bias is not None
        for convolution in (self.input, self.skip):
            nn.init.kaiming_normal_(convolution.weight)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def project(self, condition: Tensor) -> tuple[Tensor, ...]:
        """The condition's term in every block: (B, condition, T) -> for each block (B, 2C, T)."""
        return self.condition(condition).chunk(self.layers, dim=1)

    def forward(self, x: Tensor, step: Tensor, projected: tuple[Tensor, ...]) -> Tensor:
        """Noisy mel (B, bins, T) at noise steps (B,) in 0..1000 -> the prediction, (B, bins, T)."""
        x = F.relu(self.input(x))
        embedded = self.step(position_embedding(step, x.shape[1]).to(x.dtype))
        skips = torch.zeros_like(x)
        for block, condition in zip(self.blocks, projected, strict=True):
            x, skip = block(x, embedded, condition)
            skips = skips + skip
        x = F.relu(self.skip(skips / math.sqrt(self.layers)))
        return self.output(x)


class Block(nn.Module):
    """One residual block: y = dilated(x + step) + condition, sigmoid(gate) * tanh(filter), half on, half skips."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.dilated = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.step = nn.Linear(channels, channels)
        self.output = nn.Conv1d(channels, 2 * channels, 1)
        for convolution in (self.dilated, self.output):
            nn.init.kaiming_normal_(convolution.weight)

    def forward(self, x: Tensor, step: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, channels, M), step (B, channels), condition (B, 2 channels, M) -> the next x and the skip, as x."""
        y = self.dilated(x + self.step(step)[..., None]) + condition
        gate, filtered = y.chunk(2, dim=1)
        residual, skip = self.output(torch.sigmoid(gate) * torch.tanh(filtered)).chunk(2, dim=1)
        return (x + residual) / math.sqrt(2.0), skip
