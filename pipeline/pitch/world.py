"""dio and harvest of WORLD (Morise et al., 2016), through pyworld, with StoneMask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from ..frames import MEL_HOP, MEL_RATE
from ..quiet_pyworld import pyworld
from .tracker import CPU, F0, Tracker


class World(Tracker):
    """One of WORLD's estimators: (signal, rate, f0_floor, f0_ceil, frame_period) -> f0 and times."""

    def __init__(self, estimator: Callable[..., tuple[F0, F0]]):
        super().__init__()
        self.estimator = estimator

    def track(self, wav: NDArray[np.float32], f0_min: float, f0_max: float, device: torch.device = CPU) -> F0:
        # It computes twice as many frames as the mel has; every second one lies on a mel centre: no interpolation.
        signal = wav.astype(np.float64)
        count, period_ms = len(wav) // MEL_HOP, 1000.0 * MEL_HOP / MEL_RATE / 2
        rough, seconds = self.estimator(signal, MEL_RATE, f0_floor=f0_min, f0_ceil=f0_max, frame_period=period_ms)
        f0 = pyworld.stonemask(signal, rough[1::2].copy(), seconds[1::2].copy(), MEL_RATE)[:count]
        return np.pad(f0, (0, count - len(f0)))


def dio() -> World:
    """The fast estimator."""
    return World(pyworld.dio)


def harvest() -> World:
    """The thorough estimator."""
    return World(pyworld.harvest)
