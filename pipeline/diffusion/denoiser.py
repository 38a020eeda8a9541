"""The denoiser of the acoustic model, of the kind that the architecture names.

What depends on the condition alone is computed once by `project`; then the denoiser is called at every sampling step.
"""

from __future__ import annotations

from torch import nn

from .lynxnet import LYNXNet2
from .shape import Architecture
from .wavenet import WaveNet


def new_denoiser(architecture: Architecture, bins: int) -> WaveNet | LYNXNet2:
    """An untrained denoiser for a mel of `bins` bins; its output is 0.

    `project` maps a condition (B, condition, T) to the terms that every step adds, so that sampling computes them once.
    The denoiser is then called with a noisy mel (B, bins, T), noise steps (B,) in 0..1000 and those terms, and returns
    its prediction (B, bins, T).
    """
    sizes = (bins, architecture.condition, architecture.channels, architecture.layers)
    if architecture.denoiser == "wavenet":
        return WaveNet(*sizes, architecture.dilation_cycle)
    return LYNXNet2(*sizes)


def parameters(module: nn.Module) -> int:
    """The number of a module's trained parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
