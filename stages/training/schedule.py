"""How the learning rate goes over a training."""

from __future__ import annotations

import math

from ..settings import TrainSettings

COSINE_END = 0.02  # of the learning rate is left at the last step


def learning_rate(settings: TrainSettings, step: int) -> float:
    """The rate of a step, counted from 0: up in a line over `warmup` steps, then as `schedule` says.

    `cosine` (Loshchilov and Hutter, 2017, arXiv 1608.03983, without restarts) depends on how many steps there will be:
    a run that is given more of them takes up the longer curve where it stands.
    """
    rate = settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup))
    if settings.schedule == "step":
        return rate * 0.5 ** (step // settings.halve_every)
    if settings.schedule == "constant" or step < settings.warmup:
        return rate
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return rate * (COSINE_END + (1 - COSINE_END) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
