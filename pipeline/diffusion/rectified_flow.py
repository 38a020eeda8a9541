"""Rectified flow: the model predicts the velocity from mel to noise (Liu et al., 2022, arXiv 2209.03003)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from .objective import Denoiser, Objective, Solver
from .shape import NOISE_STEPS


class RectifiedFlow(Objective):
    """x = (1 - t) x0 + t noise, with t = step / NOISE_STEPS; the target is noise - x0."""

    solvers: ClassVar[Mapping[str, Solver]] = {
        "euler": Solver("FlowMatchEulerDiscreteScheduler"),
        "heun": Solver("FlowMatchHeunDiscreteScheduler"),
    }

    def training_steps(self, uniform: Tensor, shallow_depth: float) -> Tensor:
        """Logit-normal: most often in the middle, where the velocity is hard to predict (Esser et al., 2024, arXiv
        2403.03206, section 3.1).
        """
        time = torch.sigmoid(torch.special.ndtri(uniform.clamp(1e-4, 1 - 1e-4))) * shallow_depth
        return time * NOISE_STEPS

    def noise(self, x0: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        return torch.lerp(x0, noise, _time(step))

    def target(self, x0: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        return noise - x0

    def predict(self, denoiser: Denoiser, x: Tensor, step: Tensor) -> Tensor:
        """Preconditioned as in Karras et al., 2022 (arXiv 2206.00364, section 5): the denoiser's input and output have
        variance 1, and the best linear estimate of the velocity is added. Both follow from x0 and noise having
        variance 1.
        """
        time = _time(step)
        variance = time**2 + (1 - time) ** 2
        return (2 * time - 1) / variance * x + denoiser(x * variance.rsqrt(), step) * variance.rsqrt()

    def denoised(self, x: Tensor, predicted: Tensor, step: Tensor) -> Tensor:
        return x - _time(step) * predicted

    def scheduler(self, method: str, count: int) -> Any:
        scheduler = self.solver(method).new(num_train_timesteps=NOISE_STEPS)
        if method == "euler":  # evenly down to 0; its own last step would cover only the last thousandth
            scheduler.set_timesteps(sigmas=[1 - i / count for i in range(count)])
        else:
            scheduler.set_timesteps(count)
        return scheduler

    def start(self, scheduler: Any, x0: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        started: Tensor = scheduler.scale_noise(x0, timestep, noise)
        return started

    def default_steps(self, shallow_depth: float) -> int:
        """One for each tenth of the way converts as well as 20 in all (docs/quality.md)."""
        return max(4, round(10 * shallow_depth))


def _time(step: Tensor) -> Tensor:
    """Noise steps (B,) -> t in 0..1, (B, 1, 1)."""
    return (step / NOISE_STEPS)[:, None, None]
