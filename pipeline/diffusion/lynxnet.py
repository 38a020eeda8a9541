"""LYNXNet2: a denoiser of wide depthwise convolutions and gated linear layers (openvpi/DiffSinger).

Its shape there is 6 blocks of 1024 channels with kernels of 31 frames. Step and condition are added once, at the
entrance, so the cost of the condition does not grow with the blocks.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import position_embedding

KERNEL = 31  # mel frames, a third of a second


class LYNXNet2(nn.Module):
    """Channels stay last inside: the linear layers work on frames, and only the convolutions span time.

    Args:
        bins: mel bins in and out.
        condition: channels of the condition.
        channels: width C.
        layers: blocks.
        kernel: frames that a block's convolution sees; odd.
    """

    def __init__(self, bins: int, condition: int, channels: int, layers: int, kernel: int = KERNEL):
        super().__init__()
        self.input = nn.Linear(bins, channels)
        self.condition = nn.Linear(condition, channels)
        self.step = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))
        self.blocks = nn.ModuleList(Block(channels, kernel) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)
        self.output = nn.Linear(channels, bins)
        for linear in (self.input, self.condition):
            nn.init.kaiming_normal_(linear.weight)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def project(self, condition: Tensor) -> tuple[Tensor, ...]:
        """The condition's term at the entrance: (B, condition, T) -> one (B, T, C)."""
        return (self.condition(condition.transpose(1, 2)),)

    def forward(self, x: Tensor, step: Tensor, projected: tuple[Tensor, ...]) -> Tensor:
        """Noisy mel (B, bins, T) at noise steps (B,) in 0..1000 -> the prediction, (B, bins, T)."""
        x = self.input(x.transpose(1, 2))
        embedded = self.step(position_embedding(step, x.shape[-1]).to(x.dtype))
        x = x + projected[0] + embedded[:, None]
        for block in self.blocks:
            x = block(x)
        return self.output(self.norm(x)).transpose(1, 2)


class Block(nn.Module):
    """x + linear(gated(linear(gated(linear(depthwise(norm(x)))))))."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.first = nn.Linear(channels, 2 * channels)
        self.second = nn.Linear(channels, 2 * channels)
        self.last = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, M, channels) -> the same shape."""
        # As a 2-d convolution over channels-last memory: no copy to turn the axes round and back.
        y = self.norm(x).transpose(1, 2)[:, :, None]
        weight = self.depthwise.weight[:, :, None]
        y = F.conv2d(y, weight, self.depthwise.bias, padding=(0, weight.shape[-1] // 2), groups=self.depthwise.groups)
        y = y[:, :, 0].transpose(1, 2)
        return x + self.last(gated(self.second(gated(self.first(y)))))


def gated(x: Tensor) -> Tensor:
    """SwiGLU (Shazeer, 2020, arXiv 2002.05202): one half of the channels times the SiLU of the other."""
    value, gate = x.chunk(2, dim=-1)
    return value * F.silu(gate)
