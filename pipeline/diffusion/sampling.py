"""From noise to mel, by the solvers of `diffusers`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .batch import Batch
from .diffusion import Diffusion
from .objective import Solver
from .shape import NOISE_STEPS


@torch.inference_mode()
def sample(
    model: Diffusion,
    batch: Batch,
    generator: torch.Generator,
    steps: int | None = None,
    method: str | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """Sample mels for the conditions of a batch: float32 (B, M, bins), ln magnitude.

    Args:
        model: the acoustic model.
        batch: the conditions; its mel is not used.
        generator: on the CPU, so that one seed gives the same noise on every device.
        steps: sampling steps; by default as many as suffice.
        method: a key of the objective's `solvers`; by default the first.
        noise: (B, bins, M), to start from instead of noise from `generator`.
    """
    objective = model.objective
    steps = steps or objective.default_steps(model.shallow_depth)
    method = method or objective.default_method
    solver = objective.solver(method)
    condition = model.condition(batch)
    projected = model.denoiser.project(condition)
    size, frames = batch.mel2ph.shape
    device = batch.units.device
    if noise is None:
        noise = torch.randn((size, model.shape.bins, frames), generator=generator)
    noise = noise.to(device)
    scheduler, timesteps = schedule(model, steps, method)
    if model.decoder is None or model.shallow_depth == 1:
        x = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    else:
        x = objective.start(scheduler, model.decoder(condition), noise, timesteps[:1].to(device))
    options = {"generator": generator} if solver.stochastic else {}
    for step in timesteps:
        at = torch.full((size,), float(step), device=device)
        scaled = scheduler.scale_model_input(x, step) if hasattr(scheduler, "scale_model_input") else x
        output = objective.model_output(model.predict(scaled, at, projected), scaled, at)
        x = scheduler.step(output, step, x, **options).prev_sample
    return model.denormalise(x)


def schedule(model: Diffusion, steps: int, method: str) -> tuple[Any, Tensor]:
    """The diffusers scheduler of a method, set to about `steps` steps, and its timesteps (steps,).

    A shallow start takes the last `steps` of a longer schedule, as image-to-image pipelines do.
    """
    solver = model.objective.solver(method)
    total = min(NOISE_STEPS, round(steps / model.shallow_depth))
    if solver.divides:
        total = next(count for count in range(total, NOISE_STEPS + 1) if NOISE_STEPS % count == 0)
    scheduler = model.objective.scheduler(method, total)
    if model.decoder is None or model.shallow_depth == 1:
        return scheduler, scheduler.timesteps
    skipped = total - max(1, round(total * model.shallow_depth))
    return scheduler, _last(solver, scheduler, scheduler.timesteps, skipped)


def _last(solver: Solver, scheduler: Any, timesteps: Tensor, skipped: int) -> Tensor:
    """A schedule's timesteps without the first `skipped` steps; the scheduler is set to begin there."""
    if solver.repeats_second:
        timesteps = timesteps.unique().flip(0)[skipped:]
        timesteps = torch.cat([timesteps[:1], timesteps[1:2], timesteps[1:]])
    else:
        timesteps = timesteps[skipped * scheduler.order :]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped * scheduler.order)
    return timesteps
