"""DDPM: the model predicts the noise (Ho et al., 2020, arXiv 2006.11239, equation 14), with Diff-SVC's schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from .objective import Denoiser, Objective, Solver
from .shape import NOISE_STEPS

BETAS = (1e-4, 0.02)  # of the first and the last noise step; linear between them, as in Diff-SVC


class DDPM(Objective):
    """x = sqrt(a) x0 + sqrt(1 - a) noise, with a = `alphas_cumprod[step]`; the target is the noise."""

    alphas_cumprod: Tensor

    solvers: ClassVar[Mapping[str, Solver]] = {
        "dpm-solver": Solver("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),
        "unipc": Solver("UniPCMultistepScheduler"),
        "ddim": Solver("DDIMScheduler", {"clip_sample": False}, divides=True),
        "pndm": Solver("PNDMScheduler", {"skip_prk_steps": True}, divides=True, repeats_second=True),
        "ddpm": Solver("DDPMScheduler", {"clip_sample": False}, divides=True, stochastic=True),
    }

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("alphas_cumprod", alphas_cumprod(), persistent=False)

    def training_steps(self, uniform: Tensor, shallow_depth: float) -> Tensor:
        return (uniform * shallow_depth * NOISE_STEPS).long().clamp(max=NOISE_STEPS - 1)

    def noise(self, x0: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        kept = self._kept(step)
        return kept.sqrt() * x0 + (1 - kept).sqrt() * noise

    def target(self, x0: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        return noise

    def predict(self, denoiser: Denoiser, x: Tensor, step: Tensor) -> Tensor:
        return denoiser(x, step)

    def denoised(self, x: Tensor, predicted: Tensor, step: Tensor) -> Tensor:
        kept = self._kept(step)
        return (x - (1 - kept).sqrt() * predicted) / kept.sqrt()

    def scheduler(self, method: str, count: int) -> Any:
        # "trailing" alone begins at the last noise step whatever their number (Lin et al., 2024, arXiv 2305.08891)
        scheduler = self.solver(method).new(
            num_train_timesteps=NOISE_STEPS,
            beta_start=BETAS[0],
            beta_end=BETAS[1],
            beta_schedule="linear",
            timestep_spacing="trailing",
        )
        scheduler.set_timesteps(count)
        return scheduler

    def start(self, scheduler: Any, x0: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        started: Tensor = scheduler.add_noise(x0, noise, timestep)
        return started

    def default_steps(self, shallow_depth: float) -> int:
        return 20

    def _kept(self, step: Tensor) -> Tensor:
        return self.alphas_cumprod[step.long()][:, None, None]


def alphas_cumprod() -> Tensor:
    """The share of the mel that is left, in power, at each noise step: float32 (NOISE_STEPS,)."""
    return (1 - torch.linspace(*BETAS, NOISE_STEPS)).cumprod(0)
