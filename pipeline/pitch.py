"""Fundamental frequency at the mel frames' centres, by WORLD (Morise et al., 2016) through pyworld.

0 means unvoiced; nothing is interpolated. WORLD is asked for twice as many frames as the mel has and every second
one is kept, which lies exactly on a mel centre: no value is ever mixed from two frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import savgol_filter

from .frames import MEL_HOP, MEL_RATE
from .quiet_pyworld import pyworld

METHODS: dict[str, Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]] = {
    "harvest": pyworld.harvest,
    "dio": pyworld.dio,
}


@dataclass(frozen=True)
class PitchSettings:
    """How f0 is found: `method` (harvest or dio, each refined by StoneMask) between `f0_min` and `f0_max` Hz."""

    method: str = "harvest"
    f0_min: float = 65.0
    f0_max: float = 1100.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"f0 method {self.method!r} is not known; choose {' or '.join(METHODS)}")
        if not 20.0 <= self.f0_min < self.f0_max <= 4000.0:
            raise ValueError(f"f0 range {self.f0_min} to {self.f0_max} Hz: it must lie within 20 to 4000 Hz, and rise")


def track(wav: NDArray[np.float32], settings: PitchSettings) -> NDArray[np.float32]:
    """f0 of float32 (T,) at 44.1 kHz: float32 (T // 512,), Hz at mel centres, 0 where unvoiced."""
    signal = wav.astype(np.float64)
    period_ms = 1000.0 * MEL_HOP / MEL_RATE / 2
    coarse, times = METHODS[settings.method](
        signal, MEL_RATE, f0_floor=settings.f0_min, f0_ceil=settings.f0_max, frame_period=period_ms
    )
    f0 = pyworld.stonemask(signal, coarse, times, MEL_RATE)[1::2][: len(wav) // MEL_HOP]
    f0[(f0 < settings.f0_min) | (f0 > settings.f0_max) | ~np.isfinite(f0)] = 0.0
    return np.pad(f0, (0, len(wav) // MEL_HOP - len(f0))).astype(np.float32)


def continuous(f0: NDArray[np.float32]) -> NDArray[np.float32]:
    """f0 with its unvoiced gaps bridged, linearly in log f0: float32 (M,), Hz, nowhere 0.

    Voiced values stay to the bit. Before the first and after the last voiced frame their values are held; where
    nothing is voiced it is 200 Hz.
    """
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) == 0:
        return np.full(len(f0), 200.0, np.float32)
    bridged = np.exp(np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))).astype(np.float32)
    return np.where(f0 > 0, f0, bridged)


def repair(f0: NDArray[np.float32]) -> NDArray[np.float32]:
    """f0 that can be sung: float32 (M,), Hz, 0 where unvoiced.

    Trackers slip for a frame or two, where a voice cannot. Voiced runs shorter than 4 frames (46 ms) are dropped,
    values more than 60 cents off the median of 5 are set to it (Hampel filter), and each run is smoothed by a parabola
    over 9 frames (Savitzky and Golay, 1964), which keeps vibrato.
    """
    out = np.zeros_like(f0)
    voiced = np.flatnonzero(f0 > 0)
    for run in np.split(voiced, np.flatnonzero(np.diff(voiced) > 1) + 1):
        if len(run) < 4:
            continue
        octaves = np.log2(f0[run])
        median = median_filter(octaves, 5, mode="mirror")
        octaves = np.where(np.abs(octaves - median) > 60 / 1200, median, octaves)
        window = min(9, len(run) - (1 - len(run) % 2))
        out[run] = 2.0 ** savgol_filter(octaves, window, polyorder=2, mode="interp") if window > 3 else 2.0**octaves
    return out


def coarse(f0: NDArray[np.float32], f0_min: float = 40.0, f0_max: float = 1100.0) -> NDArray[np.int64]:
    """Diff-SVC's pitch bins, for its checkpoints: float (M,) Hz -> int64 (M,) in 1..255, 1 where unvoiced.

    Evenly spaced in mel (prophesier/diff-svc, f0_to_coarse). A bin is 44 cents wide at 110 Hz: too coarse for singing,
    which is why the models here take f0 as a number.
    """

    def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1127 * np.log1p(hertz / 700)

    low, high = mel(np.array([f0_min, f0_max]))
    bins = (mel(f0.astype(np.float64)) - low) * 254 / (high - low) + 1
    return np.rint(np.clip(bins, 1, 255)).astype(np.int64)
