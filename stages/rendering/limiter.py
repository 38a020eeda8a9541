"""A limiter: it attenuates peaks locally, so that the whole song does not get softer because of one note."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, minimum_filter1d

from ...common.text import time_ranges

CEILING = 0.99  # of full scale
BLOCK = 128  # samples whose peak counts as one, 3 ms at 44.1 kHz
HOLD_SECONDS = 0.03  # before and after a peak, over which the gain falls to what it needs and rises again
REPORTED_DB = 0.1  # less is not reported


@dataclass(frozen=True)
class LimiterGain:
    """The gain of each block of BLOCK samples, float32 (blocks,), at a sample rate in Hz."""

    gain: NDArray[np.float32]
    rate: int

    @classmethod
    def of(cls, blocks: Iterable[NDArray[np.float32]], rate: int) -> LimiterGain:
        """Keeps samples (n, channels), in pieces of any length, at or below CEILING."""
        need = np.minimum(1.0, CEILING / np.maximum(_peaks(blocks), CEILING))
        hold = max(1, round(HOLD_SECONDS * rate / BLOCK))
        if (need == 1).all():
            return cls(need, rate)
        # The least gain within reach, then smoothed over less than that reach: nowhere above what a block needs.
        least = minimum_filter1d(need, 2 * hold + 3, mode="nearest")
        window = np.hanning(2 * hold + 3)[1:-1].astype(np.float32)
        smooth = convolve1d(least, window / window.sum(), mode="nearest")
        return cls(np.minimum(smooth, 1.0).astype(np.float32), rate)

    @property
    def most_db(self) -> float:
        """The largest attenuation of a peak in dB; 0 without any."""
        return float(-20 * np.log10(self.gain.min())) if len(self.gain) else 0.0

    def spots(self) -> list[tuple[float, float]]:
        """Where samples are changed by more than REPORTED_DB: (start, end) in seconds, in order."""
        changed = np.flatnonzero(self.gain < 10 ** (-REPORTED_DB / 20))
        runs = np.split(changed, np.flatnonzero(np.diff(changed) > self.rate // BLOCK) + 1)
        return [(run[0] * BLOCK / self.rate, (run[-1] + 1) * BLOCK / self.rate) for run in runs if len(run)]

    def apply(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Samples (n, channels), piece by piece, with the gain, which changes linearly between blocks' centres."""
        position = 0
        for block in blocks:
            stop = position + len(block)
            first, last = position // BLOCK, min(-(-stop // BLOCK), len(self.gain))
            if (self.gain[max(0, first - 1) : last + 1] < 1).any():
                near = np.arange(max(0, first - 1), min(last + 1, len(self.gain)))
                at = np.arange(position, stop) + 0.5
                block = block * np.interp(at, (near + 0.5) * BLOCK, self.gain[near])[:, None].astype(np.float32)
            position = stop
            yield block


def limited(limiter: LimiterGain | None) -> list[str]:
    """A sentence on limited peaks; empty if the attenuation is negligible."""
    if limiter is None or not (spots := limiter.spots()):
        return []
    return [f"peaks brought down by up to {limiter.most_db:.1f} dB to fit, at {time_ranges(spots)}"]


def _peaks(blocks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The largest magnitude in each BLOCK samples of all channels: float32 (blocks,)."""
    found: list[NDArray[np.float32]] = []
    held = np.zeros(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, np.abs(block).max(axis=1)]) if len(block) else held
        whole = len(held) // BLOCK * BLOCK
        found.append(held[:whole].reshape(-1, BLOCK).max(axis=1))
        held = held[whole:]
    if len(held):
        found.append(held.max(keepdims=True))
    return np.concatenate([np.zeros(0, np.float32), *found])
