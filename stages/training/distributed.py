"""The processes that train one model together: one alone, or as many as `accelerate launch` started."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import torch
from torch import nn

from ..devices import pick_device

# The leading process trains units and measures while the others wait; torch's own limit is ten minutes.
PATIENCE = timedelta(hours=24)


class DistributedContext:
    """This process among those that train together.

    Attributes:
        size, rank: the number of processes, and which this one is.
        device: where this one computes.
    """

    def __init__(self, device: str = "auto"):
        self._accelerator: Any = None
        self.size, self.rank = int(os.environ.get("WORLD_SIZE", "1")), 0
        if self.size == 1:
            self.device = pick_device(device)
            return
        from accelerate import Accelerator, InitProcessGroupKwargs

        patient = InitProcessGroupKwargs(timeout=PATIENCE)
        self._accelerator = Accelerator(cpu=device == "cpu", kwargs_handlers=[patient])
        self.device, self.rank = str(self._accelerator.device), self._accelerator.process_index

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and reports progress."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes arrive here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()

    def share(self, model: nn.Module) -> nn.Module:
        """The model, wrapped so that every backward pass leaves the mean of all processes' gradients."""
        return model if self._accelerator is None else self._accelerator.prepare_model(model)

    def average_gradients(self, module: nn.Module) -> None:
        """Replace a module's gradients by their mean over the processes."""
        if self._accelerator is None:
            return
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        mean = self._accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
        for gradient, part in zip(gradients, mean.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def any(self, here: bool) -> bool:
        """Whether it is true in any process: all must call it at the same point, and all get the same answer."""
        if self._accelerator is None:
            return here
        return float(self._accelerator.reduce(torch.tensor(float(here), device=self.device), "sum")) > 0

    def mean(self, value: torch.Tensor) -> float:
        """The mean of a scalar over the processes."""
        if self._accelerator is not None:
            value = self._accelerator.reduce(value.detach().clone(), "mean")
        return float(value)
