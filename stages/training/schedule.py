"""The learning rate over a training."""

from __future__ import annotations

import math

from ..settings import TrainSettings, VocoderSettings

COSINE_END = 0.02  # share of the learning rate at the last step
EXPONENTIAL_END = 0.1  # the same of the vocoder's
WARMUP_SHARE = 10  # at most one step in so many warms up


def learning_rate(settings: TrainSettings, step: int) -> float:
    """The rate of a step, counted from 0: linear over `warmup` steps, then as `schedule` says.

    A run of fewer steps than its preset's warms up in a tenth of them, if that is shorter.
    `cosine` (Loshchilov and Hutter, 2017, arXiv 1608.03983, without restarts) depends on the number of steps: a run
    that is continued with more of them follows the longer curve.
    """
    warmup = min(settings.warmup, settings.steps // WARMUP_SHARE)
    rate = settings.learning_rate * min(1.0, (step + 1) / max(1, warmup))
    if settings.schedule == "step":
        return rate * 0.5 ** (step // settings.halve_every)
    if settings.schedule == "constant" or step < warmup:
        return rate
    done = (step - warmup) / max(1, settings.steps - warmup)
    return rate * (COSINE_END + (1 - COSINE_END) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def exponential_rate(settings: VocoderSettings, step: int) -> float:
    """The vocoder's rate of a step: exponentially to a tenth at the last one, after a linear warm-up."""
    rate = settings.learning_rate * EXPONENTIAL_END ** (step / settings.steps)
    return rate * min(1.0, (step + 1) / max(1, settings.warmup))
