"""The acoustic model in two modules that ONNX can express: one computed once for a clip, and one for each step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..diffusion.batch import Batch
from ..diffusion.diffusion import Diffusion
from ..diffusion.sampling import schedule

LINEAR = ("euler", "ddim")  # methods whose steps need nothing but the noisy mel and the prediction


class ConditionParts(nn.Module):
    """Condition of a clip, as the denoiser takes it, and the auxiliary decoder's guess if the model has that decoder.

    forward(units (1, U, unit_dim), mel2ph int64 (1, M), f0 Hz without gaps, voiced 0/1, loudness dBFS (1, M) each,
    speaker: shares (1, M, speakers)) -> condition (1, channels, M) and guess (1, bins, M), normalised.
    """

    def __init__(self, model: Diffusion):
        super().__init__()
        self.model = model

    def forward(
        self, units: Tensor, mel2ph: Tensor, f0: Tensor, voiced: Tensor, loudness: Tensor, speaker: Tensor
    ) -> tuple[Tensor, ...]:
        """float32 but for mel2ph -> condition (1, channels, M), and guess (1, bins, M) if the model has a decoder."""
        batch = Batch(units, mel2ph, f0, voiced, loudness, torch.ones_like(f0), speaker)
        condition = self.model.condition(batch)
        projected = self.model.denoiser.project(condition)
        joined = torch.cat(projected, dim=1) if len(projected) > 1 else projected[0]
        if self.model.decoder is None:
            return (joined,)
        return joined, self.model.decoder(condition)


class DenoiserStep(nn.Module):
    """One prediction: forward(x (1, bins, M), step (1,) in 0..1000, condition as `ConditionParts` gives it).

    Returns (1, bins, M): the velocity of a flow, the noise of ddpm.
    """

    def __init__(self, model: Diffusion):
        super().__init__()
        self.model = model
        sizes = model.shape.architecture
        self.parts = sizes.layers if sizes.denoiser == "wavenet" else 1

    def forward(self, x: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """x (1, bins, M), step (1,), condition (1, channels, M) -> the prediction, float32 (1, bins, M)."""
        projected = condition.chunk(self.parts, dim=1) if self.parts != 1 else (condition,)
        return self.model.predict(x, step, projected)


def sampler_table(model: Diffusion, steps: int | None = None) -> dict[str, Any]:
    """How a mel is sampled, as numbers that need no solver: JSON's.

    By Euler's method for a flow, by DDIM for DDPM: their steps are linear in the noisy mel and the prediction, so each
    is two numbers, which the solver's own step gives. `start` says how much of the guess and of the noise x is at
    first; then each row replaces x by `x` * x + `predicted` * prediction(x, `step`).
    """
    objective = model.objective
    method = next(name for name in LINEAR if name in objective.solvers)
    scheduler, timesteps = schedule(model, steps or objective.default_steps(model.shallow_depth), method)
    one = torch.tensor([1.0, 0.0], dtype=torch.float64)
    other = 1 - one
    start = torch.tensor([0.0, getattr(scheduler, "init_noise_sigma", 1.0)])
    if model.decoder is not None and model.shallow_depth < 1:
        start = objective.start(scheduler, one, other, timesteps[:1])
    rows = []
    for step in timesteps:
        x, predicted = scheduler.step(other, step, one).prev_sample.tolist()
        rows.append({"step": float(step), "x": x, "predicted": predicted})
    guess, noise = start.tolist()
    return {"start": {"guess": guess, "noise": noise}, "steps": rows}
