"""A module, its optimizer, and the moving average of its weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from .. import checkpoint
from .distributed import DistributedContext

M = TypeVar("M", bound=nn.Module)


class Learner(Generic[M]):
    """Trains a module with AdamW on clipped gradients.

    Args:
        module: on the device where it is trained.
        distributed: the processes that share gradients.
        learning_rate, betas: AdamW's.
        clip: the largest norm of the gradient.
        ema: decay of the averaged weights; None: there are none.
        names: prefixes in a checkpoint of the weights, their average and the optimizer.
        weight_decay: AdamW's.
        wrapped: `shared` averages gradients while they are computed, which needs every forward pass to go through it;
            else they are averaged afterwards.
    """

    def __init__(
        self,
        module: M,
        distributed: DistributedContext,
        learning_rate: float,
        betas: tuple[float, float],
        clip: float,
        ema: float | None = None,
        names: tuple[str, str, str] = ("model", "ema", "optimizer"),
        weight_decay: float = 1e-2,
        wrapped: bool = True,
    ):
        self.module, self.distributed, self.wrapped = module, distributed, wrapped
        self.clip, self.ema, self.names = clip, ema, names
        self.average: M = copy.deepcopy(module).eval().requires_grad_(False) if ema is not None else module
        self.shared: nn.Module = distributed.share(module) if wrapped else module
        # Fused: one pass over the weights for all of AdamW's arithmetic.
        self.optimizer = torch.optim.AdamW(
            module.parameters(), lr=learning_rate, betas=betas, weight_decay=weight_decay, fused=True
        )

    def update(self, loss: Tensor, learning_rate: float, step: int) -> None:
        """One optimizer step on a scalar loss. `step` counts the steps that were taken before."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if not self.wrapped:
            self.distributed.average_gradients(self.module)
        nn.utils.clip_grad_norm_(self.module.parameters(), self.clip)
        self.optimizer.step()
        if self.ema is not None:
            # At first the decay is lower, so that the untrained weights do not remain in the average.
            decay = min(self.ema, (2 + step) / (11 + step))
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.parameters()), list(self.module.parameters()), 1 - decay)

    def state(self) -> dict[str, Tensor]:
        """Everything that resuming needs."""
        weights, average, optimizer = self.names
        return {
            **checkpoint.prefixed(weights, self.module),
            **(checkpoint.prefixed(average, self.average) if self.ema is not None else {}),
            **checkpoint.optimizer_state(self.optimizer, optimizer),
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Load the output of `state`. Raises UserError if it does not fit."""
        weights, average, optimizer = self.names
        checkpoint.restore(weights, self.module, tensors)
        if self.ema is not None:
            checkpoint.restore(average, self.average, tensors)
        checkpoint.restore_optimizer(self.optimizer, tensors, optimizer)
