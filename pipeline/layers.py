"""Layers that several networks share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class ConvNeXt(nn.Module):
    """A ConvNeXt block (Liu et al., 2022, arXiv 2201.03545): (B, channels, T) -> (B, channels, T).

    Depthwise convolution, layer norm, and a network of two layers at every frame, added to the input.

    Args:
        channels: width.
        kernel: frames that the convolution spans; odd.
        expansion: width of the hidden layer, in multiples of `channels`.
        scale: initial value of a learnt factor for each channel of what is added (layer scale); None: no such factor.
    """

    def __init__(self, channels: int, kernel: int = 7, expansion: int = 4, scale: float | None = None):
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.pointwise = nn.Sequential(
            nn.Linear(channels, expansion * channels), nn.GELU(), nn.Linear(expansion * channels, channels)
        )
        self.scale = None if scale is None else nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, M) -> the same shape."""
        y = self.pointwise(self.norm(self.depthwise(x).transpose(1, 2)))
        return x + (y if self.scale is None else self.scale * y).transpose(1, 2)


def position_embedding(position: Tensor, channels: int) -> Tensor:
    """Transformer position code, here of noise steps (Vaswani et al., 2017, section 3.5): (B,) -> (B, channels)."""
    half = channels // 2
    frequency = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half, device=position.device))
    angle = position.float()[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def pitch_embedding(f0: Tensor, count: int, highest: float) -> tuple[Tensor, Tensor]:
    """Sines and cosines of log2 f0 with `count` periods from 8 octaves to 2 ** -highest octaves.

    f0 in Hz, positive, (...) -> two of (..., count).
    """
    octaves = torch.log2(f0 / 55.0)[..., None]
    angle = octaves * (2 * math.pi * 2.0 ** torch.linspace(-3, highest, count, device=octaves.device))
    return angle.sin(), angle.cos()
