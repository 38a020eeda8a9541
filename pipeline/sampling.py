"""From noise to mel, by the solvers of `diffusers`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .diffusion import BETAS, STEPS, Batch, Diffusion

# method -> (diffusers scheduler, options); betas and steps are the model's
SOLVERS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "ddpm": {
        "dpm-solver": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),
        "unipc": ("UniPCMultistepScheduler", {}),
        "ddim": ("DDIMScheduler", {"clip_sample": False}),
        "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
        "ddpm": ("DDPMScheduler", {"clip_sample": False}),
    },
    "flow": {
        "euler": ("FlowMatchEulerDiscreteScheduler", {}),
        "heun": ("FlowMatchHeunDiscreteScheduler", {}),
    },
}


def methods(objective: str) -> list[str]:
    """The solvers that suit an objective, the default first."""
    return list(SOLVERS[objective])


def solver(objective: str, method: str, steps: int) -> Any:
    """A diffusers scheduler, set to `steps` steps. Raises ValueError for a method that does not suit."""
    if method not in SOLVERS[objective]:
        raise ValueError(f"method {method!r} does not suit a {objective} model; choose {', '.join(methods(objective))}")
    name, options = SOLVERS[objective][method]
    kind = getattr(importlib.import_module("diffusers"), name)
    if objective == "ddpm":
        linear = {"num_train_timesteps": STEPS, "beta_start": BETAS[0], "beta_end": BETAS[1], "beta_schedule": "linear"}
        scheduler = kind(**linear, **options)
    else:
        scheduler = kind(num_train_timesteps=STEPS, **options)
    scheduler.set_timesteps(steps)
    return scheduler


@torch.inference_mode()
def sample(
    model: Diffusion,
    batch: Batch,
    generator: torch.Generator,
    steps: int = 20,
    method: str | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Tensor:
    """Draw mels for the conditions of a batch: float32 (B, M, bins), ln magnitude.

    `generator` lives on the CPU, so that one seed gives one noise on every device. `progress` is called every step.
    """
    scheduler = solver(model.objective, method or methods(model.objective)[0], steps)
    projected = model.denoiser.project(model.condition(batch))
    frames = batch.mel2ph.shape
    noise = torch.randn((frames[0], model.shape.bins, frames[1]), generator=generator)
    x = noise.to(batch.units.device) * getattr(scheduler, "init_noise_sigma", 1.0)
    options = {"generator": generator} if method == "ddpm" else {}
    for step in scheduler.timesteps:
        at = torch.full((frames[0],), float(step), device=x.device)
        predicted = model.denoiser(scheduler_input(scheduler, x, step), at, projected)
        x = scheduler.step(predicted, step, x, **options).prev_sample
        progress()
    return model.denormalise(x)


def scheduler_input(scheduler: Any, x: Tensor, step: Tensor) -> Tensor:
    """Some schedulers want their input scaled; flow matching ones have no such method."""
    return scheduler.scale_model_input(x, step) if hasattr(scheduler, "scale_model_input") else x
