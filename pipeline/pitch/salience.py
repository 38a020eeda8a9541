"""Pitch from a salience over 360 bins of 20 cents, which CREPE and RMVPE both give (Kim et al., 2018)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS, CENTS_PER_BIN, FIRST_CENTS = 360, 20.0, 1997.3794084376191  # cents above 10 Hz: bin 0 is 31.7 Hz, 359 is 2006 Hz
REACH = 4  # bins on each side that the local average takes
LARGEST_STEP = 12  # bins: CREPE's Viterbi allows less between frames

Salience = NDArray[np.float32]  # (F, 360), within 0 to 1


def bin_hertz() -> NDArray[np.float64]:
    """The frequency of every bin in Hz: (360,)."""
    return np.asarray(10.0 * 2.0 ** ((FIRST_CENTS + CENTS_PER_BIN * np.arange(BINS)) / 1200), np.float64)


def within_range(salience: Salience, f0_min: float, f0_max: float) -> Salience:
    """Salience with the bins outside of a range set to 0."""
    hertz = bin_hertz()
    half = 2.0 ** (CENTS_PER_BIN / 2400)
    return salience * ((hertz * half >= f0_min) & (hertz / half <= f0_max)).astype(np.float32)


def local_average(salience: Salience, bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean pitch around the chosen bins, weighted by salience: int64 (F,) -> (F,) Hz. Finer than the bins are."""
    near = bins[:, None] + np.arange(-REACH, REACH + 1)
    there = (near >= 0) & (near < BINS)
    weights = np.take_along_axis(salience.astype(np.float64), np.clip(near, 0, BINS - 1), 1) * there
    total = weights.sum(1)
    cents = FIRST_CENTS + CENTS_PER_BIN * (weights * near).sum(1) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, 10.0 * 2.0 ** (cents / 1200), 0.0)


def viterbi(score: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The path through the bins with the highest sum of scores, where a step of d bins adds log(12 - |d|).

    The steps are those of CREPE's Viterbi decoding.

    Args:
        score: (F, 360), -inf for bins that may not be taken.

    Returns:
        int64 (F,), a bin for every frame.
    """
    steps = np.arange(-LARGEST_STEP + 1, LARGEST_STEP)
    where = np.arange(BINS) - steps[:, None]  # the bin that a step comes from: [step, to]
    source = np.clip(where, 0, BINS - 1)
    cost = np.log(LARGEST_STEP - np.abs(steps))[:, None] + np.where((where >= 0) & (where < BINS), 0.0, -np.inf)
    came = np.zeros((len(score), BINS), np.int64)
    best = score[0] if len(score) else np.zeros(BINS)
    for frame in range(1, len(score)):
        reached = best[source] + cost
        chosen = reached.argmax(0)
        came[frame] = source[chosen, np.arange(BINS)]
        best = reached[chosen, np.arange(BINS)] + score[frame]
    path = np.zeros(len(score), np.int64)
    if len(score):
        path[-1] = int(best.argmax())
        for frame in range(len(score) - 1, 0, -1):
            path[frame - 1] = came[frame, path[frame]]
    return path
