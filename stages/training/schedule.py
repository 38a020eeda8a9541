"""How the learning rate goes over a training."""

from __future__ import annotations

import math

from ..settings import TrainSettings

COSINE_END = 0.02  # of the learning rate is left at the last step
WARMUP_SHARE = 10  # of the steps, one in so many at most warms up


def learning_rate(settings: TrainSettings, step: int) -> float:
    """The rate of a step, counted from 0: up in a line over `warmup` steps, then as `schedule` says.

    A run of fewer steps than its preset's warms up in a tenth of them, if that is shorter.
    `cosine` (Loshchilov and Hutter, 2017, arXiv 1608.03983, without restarts) depends on how many steps there will be:
    a run that is given more of them takes up the longer curve where it stands.
    """
    warmup = min(settings.warmup, settings.steps // WARMUP_SHARE)
    rate = settings.learning_rate * min(1.0, (step + 1) / max(1, warmup))
    if settings.schedule == "step":
        return rate * 0.5 ** (step // settings.halve_every)
    if settings.schedule == "constant" or step < warmup:
        return rate
    done = (step - warmup) / max(1, settings.steps - warmup)
    return rate * (COSINE_END + (1 - COSINE_END) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
