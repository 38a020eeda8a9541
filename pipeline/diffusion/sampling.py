"""From noise to mel, by the solvers of `diffusers`."""

from __future__ import annotations

import importlib
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
# These find the noise step before by subtracting a whole number: they take a number of steps that divides STEPS,
# the next above the one asked for.
WHOLE = ("ddim", "pndm", "ddpm")


def methods(objective: str) -> list[str]:
    """The solvers that suit an objective, the default first."""
    return list(SOLVERS[objective])


def enough_steps(objective: str, shallow_depth: float) -> int:
    """How many steps suffice for a model that goes `shallow_depth` of the way into noise.

    A flow converts as well by one for each tenth of the way as by 20 in all (docs/quality.md); for ddpm it was not
    measured.
    """
    return max(4, round(10 * shallow_depth)) if objective == "flow" else 20


def solver(objective: str, method: str, steps: int) -> Any:
    """A diffusers scheduler, set to `steps` steps. Raises ValueError for a method that does not suit."""
    if method not in SOLVERS[objective]:
        raise ValueError(f"method {method!r} does not suit a {objective} model; choose {', '.join(methods(objective))}")
    name, options = SOLVERS[objective][method]
    kind = getattr(importlib.import_module("diffusers"), name)
    if objective == "ddpm":
        linear = {"num_train_timesteps": STEPS, "beta_start": BETAS[0], "beta_end": BETAS[1], "beta_schedule": "linear"}
        # "trailing" alone begins at the last noise step whatever their number (Lin et al., 2024, arXiv 2305.08891)
        scheduler = kind(**linear, timestep_spacing="trailing", **options)
        scheduler.set_timesteps(steps)
        return scheduler
    scheduler = kind(num_train_timesteps=STEPS, **options)
    if method == "euler":  # evenly down to 0; by itself it would spend its last step on the last thousandth
        scheduler.set_timesteps(sigmas=[1 - i / steps for i in range(steps)])
    else:
        scheduler.set_timesteps(steps)
    return scheduler


@torch.inference_mode()
def sample(
    model: Diffusion,
    batch: Batch,
    generator: torch.Generator,
    steps: int | None = None,
    method: str | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """Draw mels for the conditions of a batch: float32 (B, M, bins), ln magnitude.

    `generator` lives on the CPU, so that one seed gives one noise on every device. `steps` left out are as many as
    suffice. `noise` (B, bins, M) is begun from instead of drawn, where given.
    """
    steps = steps or enough_steps(model.objective, model.shallow_depth)
    method = method or methods(model.objective)[0]
    condition = model.condition(batch)
    projected = model.denoiser.project(condition)
    size, frames = batch.mel2ph.shape
    device = batch.units.device
    if noise is None:
        noise = torch.randn((size, model.shape.bins, frames), generator=generator)
    noise = noise.to(device)
    # A shallow start takes the last `steps` of a longer schedule, as image-to-image pipelines do.
    total = min(STEPS, round(steps / model.shallow_depth))
    if method in WHOLE:
        total = next(count for count in range(total, STEPS + 1) if STEPS % count == 0)
    skipped = total - max(1, round(total * model.shallow_depth))
    scheduler = solver(model.objective, method, total)
    timesteps = scheduler.timesteps
    if model.decoder is None or model.shallow_depth == 1:
        x = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    else:
        if method == "pndm":  # it warms up by taking its second step twice, wherever it starts
            timesteps = timesteps.unique().flip(0)[skipped:]
            timesteps = torch.cat([timesteps[:1], timesteps[1:2], timesteps[1:]])
        else:
            timesteps = timesteps[skipped * scheduler.order :]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(skipped * scheduler.order)
        x = _noised(scheduler, model.decoder(condition), noise, timesteps[:1])
    options = {"generator": generator} if method == "ddpm" else {}
    for step in timesteps:
        at = torch.full((size,), float(step), device=device)
        scaled = scheduler.scale_model_input(x, step) if hasattr(scheduler, "scale_model_input") else x
        x = scheduler.step(model.predict(scaled, at, projected), step, x, **options).prev_sample
    return model.denormalise(x)


def _noised(scheduler: Any, mel: Tensor, noise: Tensor, step: Tensor) -> Tensor:
    """A mel with the noise of a step; diffusers has one name for it in diffusion and another in flow matching."""
    if hasattr(scheduler, "scale_noise"):
        return scheduler.scale_noise(mel, step.to(mel.device), noise)
    return scheduler.add_noise(mel, noise, step.to(mel.device))
