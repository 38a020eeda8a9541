"""The interface of objectives: the training target of a diffusion model, and how a mel is sampled with it.

An objective wraps the denoiser, as k-diffusion wraps its models: the rest of the program calls these methods and
depends on no particular objective. A new one is a class in a file of its own, and a line in `registry`.

x0 is a normalised mel (B, bins, M), of mean 0 and variance 1; noise has the same shape; noise steps (B,) are floats or
whole numbers from 0 (mel) to `NOISE_STEPS` (noise).
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

Denoiser = Callable[[Tensor, Tensor], Tensor]  # (noisy mel (B, bins, M), noise steps (B,)) -> (B, bins, M)


@dataclass(frozen=True)
class Solver:
    """A scheduler of `diffusers`, and the properties that `sample` needs.

    Attributes:
        scheduler: its class.
        options: passed when it is made.
        divides: it subtracts a whole number from a noise step to find the next, so the number of steps must divide
            NOISE_STEPS.
        stochastic: it adds noise at every step.
        repeats_second: it takes its second step twice, wherever it starts.
    """

    scheduler: str
    options: Mapping[str, Any] = field(default_factory=dict)
    divides: bool = False
    stochastic: bool = False
    repeats_second: bool = False

    def new(self, **options: Any) -> Any:
        """An instance of the scheduler."""
        return getattr(importlib.import_module("diffusers"), self.scheduler)(**options, **self.options)


class Objective(nn.Module, ABC):
    """Defines what the denoiser predicts. Its buffers are not part of a checkpoint."""

    solvers: ClassVar[Mapping[str, Solver]]  # by the name of the method; the first is the default

    @abstractmethod
    def training_steps(self, uniform: Tensor, shallow_depth: float) -> Tensor:
        """The noise steps to train at, (B,), from uniform numbers (B,) in 0..1, up to `shallow_depth` of all."""

    @abstractmethod
    def noise(self, x0: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """The noisy mel at noise steps (B,): (B, bins, M)."""

    @abstractmethod
    def target(self, x0: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """The target of the prediction: (B, bins, M)."""

    @abstractmethod
    def predict(self, denoiser: Denoiser, x: Tensor, step: Tensor) -> Tensor:
        """The prediction of the target from a noisy mel x (B, bins, M): (B, bins, M)."""

    @abstractmethod
    def denoised(self, x: Tensor, predicted: Tensor, step: Tensor) -> Tensor:
        """The estimate of x0 that follows from a prediction at a noisy mel x: (B, bins, M)."""

    @abstractmethod
    def scheduler(self, method: str, count: int) -> Any:
        """The diffusers scheduler of a method, set to `count` steps over the whole way from noise to mel.

        Raises ValueError for an unknown method.
        """

    @abstractmethod
    def start(self, scheduler: Any, x0: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """x0 with the noise of the scheduler's timestep (1,), to start sampling from: (B, bins, M)."""

    @abstractmethod
    def default_steps(self, shallow_depth: float) -> int:
        """How many sampling steps suffice for a model that is trained on `shallow_depth` of the noise steps."""

    def model_output(self, predicted: Tensor, x: Tensor, step: Tensor) -> Tensor:
        """The argument of the scheduler's step, of the same shape as `predicted`: by default the prediction itself."""
        return predicted

    def solver(self, method: str) -> Solver:
        """Raises ValueError for an unknown method."""
        if method not in self.solvers:
            raise ValueError(f"method {method!r} is not known; choose {' or '.join(self.solvers)}")
        return self.solvers[method]

    @property
    def default_method(self) -> str:
        """The solver that is used if none is named: the first."""
        return next(iter(self.solvers))
