"""The network that tells noise from mel, behind one door.

What depends on the condition alone is a step of its own: `project` once, then call the denoiser as often as the
sampler likes.
"""

from __future__ import annotations

from torch import nn

from .lynxnet import LYNXNet2
from .wavenet import WaveNet

DENOISERS = ("wavenet", "lynxnet2")


def new_denoiser(
    name: str, bins: int, condition: int, channels: int, layers: int, dilation_cycle: int
) -> WaveNet | LYNXNet2:
    """An untrained denoiser, which says exactly nothing yet. `dilation_cycle` is the WaveNet's alone.

    `project` makes of a condition (B, condition, T) what the steps add of it; called with noisy mel (B, bins, T), noise
    steps (B,) in 0..1000 and that, it gives its prediction, (B, bins, T).

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
