"""Overlapping pieces of sound, cross-faded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


class Joiner:
    """Adds up pieces that each run `fade` samples into the next one.

    The fade's weights sum to 1: the pieces have the same phase (`CarriedExcitation`), so their sum is as loud as each.
    """

    def __init__(self, fade: int):
        self.rising = (np.arange(fade, dtype=np.float32) + np.float32(0.5)) / np.float32(fade)
        self._tail: Samples | None = None

    def join(self, piece: Samples) -> Samples:
        """A piece, float32 (n + fade,) -> the next samples, (n,). After a gap they are faded in from silence."""
        fade = len(self.rising)
        out = piece[: len(piece) - fade].copy()
        out[:fade] *= self.rising
        if self._tail is not None:
            out[:fade] += self._tail * self.rising[::-1]
        self._tail = piece[len(piece) - fade :]
        return out

    def gap(self, samples: int) -> Samples:
        """Silence, float32 (samples,), after the last piece has been faded out in it."""
        out = np.zeros(samples, np.float32)
        if self._tail is not None:
            out[: len(self._tail)] = self._tail * self.rising[::-1]
        self._tail = None
        return out
