"""The interface of objectives: each inverts its own noise, and a new one is a class, here in this file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from svc.pipeline.diffusion.ddpm import DDPM
from svc.pipeline.diffusion.objective import Denoiser, Objective, Solver
from svc.pipeline.diffusion.registry import OBJECTIVES, new_objective
from svc.pipeline.diffusion.shape import NOISE_STEPS
from torch import Tensor


class MelPrediction(Objective):
    """A second implementation: straight paths, as in rectified flow, whose denoiser predicts the mel itself."""

    solvers: ClassVar[Mapping[str, Solver]] = {"one by one": Solver("FlowMatchEulerDiscreteScheduler")}

    def training_steps(self, uniform: Tensor, shallow_depth: float) -> Tensor:
        return 1 + uniform * (shallow_depth * NOISE_STEPS - 1)

    def noise(self, x0: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        return torch.lerp(x0, noise, (step / NOISE_STEPS)[:, None, None])

    def target(self, x0: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        return x0

    def predict(self, denoiser: Denoiser, x: Tensor, step: Tensor) -> Tensor:
        return denoiser(x, step)

    def model_output(self, predicted: Tensor, x: Tensor, step: Tensor) -> Tensor:
        """The scheduler steps by velocities."""
        return (x - predicted) / (step / NOISE_STEPS)[:, None, None]

    def denoised(self, x: Tensor, predicted: Tensor, step: Tensor) -> Tensor:
        return predicted

    def scheduler(self, method: str, count: int) -> Any:
        scheduler = self.solver(method).new(num_train_timesteps=NOISE_STEPS)
        scheduler.set_timesteps(sigmas=[1 - i / count for i in range(count)])
        return scheduler

    def start(self, scheduler: Any, x0: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        return scheduler.scale_noise(x0, timestep, noise)

    def default_steps(self, shallow_depth: float) -> int:
        return 3


@pytest.fixture(autouse=True)
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OBJECTIVES, "mel", MelPrediction)


@pytest.mark.parametrize("name", ["flow", "ddpm", "mel"])
def test_the_true_target_denoises_to_the_mel(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 6, 8, 20, generator=generator, dtype=torch.float64)
    objective = new_objective(name).double()
    step = objective.training_steps(torch.linspace(0.05, 0.95, 6, dtype=torch.float64), 1.0)
    x = objective.noise(x0, noise, step)
    torch.testing.assert_close(objective.denoised(x, objective.target(x0, noise, step), step), x0, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["flow", "ddpm", "mel"])
def test_noise_steps_run_from_mel_to_noise(name: str) -> None:
    x0, noise = torch.zeros(2, 1, 1), torch.ones(2, 1, 1)
    objective = new_objective(name)
    less, more = objective.noise(x0, noise, torch.tensor([10.0, 990.0])).flatten().tolist()
    assert 0 < less < 0.2 < 0.98 < more <= 1
    assert objective.training_steps(torch.tensor([0.0, 1.0]), 0.5).max() <= NOISE_STEPS / 2


def test_a_schedule_is_a_buffer_that_checkpoints_do_not_hold() -> None:
    """It moves with the model, and checkpoints made before it was one still fit."""
    objective = DDPM()
    assert objective.state_dict() == {}
    assert objective.to("meta").alphas_cumprod.device.type == "meta"


def test_a_run_is_trained_and_rendered_with_a_new_objective(
    tmp_path: Path, store: Path, song: Path, train_settings: Any
) -> None:
    from svc.stages.rendering.render_file import render_file
    from svc.stages.rendering.run_converter import RunConverter
    from svc.stages.run import Run
    from svc.stages.settings import RenderSettings
    from svc.stages.training.train import train

    settings = dataclasses.replace(train_settings, objective="mel", steps=30, validate_every=15)
    first = train([store], tmp_path / "r", dataclasses.replace(settings, steps=1)).best_loss
    assert train([store], tmp_path / "r", settings).best_loss < first
    converter = RunConverter(Run.open(tmp_path / "r"), RenderSettings())
    assert converter.sampling(RenderSettings()).steps == 3
    render_file(converter, song, tmp_path / "sung.wav")
    assert (tmp_path / "sung.wav").exists()
