"""The network that tells noise from mel, behind one door.

What depends on the condition alone is a step of its own: `project` once a song, then call the denoiser as often as the
sampler likes.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from .lynxnet import LYNXNet2
from .wavenet import WaveNet

DENOISERS = ("wavenet", "lynxnet2")


class Denoiser(Protocol):
    """What every denoiser does."""

    def project(self, condition: Tensor) -> tuple[Tensor, ...]:
        """(B, condition, T) -> what the steps add of it."""

    def __call__(self, x: Tensor, step: Tensor, projected: tuple[Tensor, ...]) -> Tensor:
        """Noisy mel (B, bins, T) at noise steps (B,) in 0..1000 -> the prediction, (B, bins, T)."""


def new_denoiser(
    name: str, bins: int, condition: int, channels: int, layers: int, dilation_cycle: int
) -> WaveNet | LYNXNet2:
    """An untrained denoiser, which says exactly nothing yet. `dilation_cycle` is the WaveNet's alone.

    Raises ValueError for a name that is not in DENOISERS.
    """
    if name == "wavenet":
        return WaveNet(bins, condition, channels, layers, dilation_cycle)
    if name == "lynxnet2":
        return LYNXNet2(bins, condition, channels, layers)
    raise ValueError(f"denoiser {name!r} is not known; choose {' or '.join(DENOISERS)}")


def parameters(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())
