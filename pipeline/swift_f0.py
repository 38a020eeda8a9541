"""Coarse f0 and voicing by SwiftF0 (Nieradzik, 2025, arXiv 2508.18440): a network of 14,386 weights, in its wheel.

It hears 16 kHz and gives a pitch and a confidence every 16 ms; frame i is centred at 16 i ms, and nothing further off
than 176 ms has a say in it. Its pitch is right to within a few cents, for `track` to refine.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import soxr
from numpy.typing import NDArray

from .frames import CONTENT_RATE, MEL_RATE

if TYPE_CHECKING:
    from swift_f0 import SwiftF0

LOWEST_HZ, HIGHEST_HZ = 46.875, 2093.75  # the network's range
VOICED_FROM = 0.5  # confidence
GAIN = 4.0  # the network does not normalise its input and hears no voice in what is 30 dB softer than usual

_lock = threading.Lock()
_detectors: list[SwiftF0] = []


def estimate(
    wav: NDArray[np.float32], f0_min: float, f0_max: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """float32 (T,) at 44.1 kHz -> f0, float64 (F,), Hz, 0 where unvoiced, and where its frames lie, in seconds."""
    sound = soxr.resample(wav, MEL_RATE, CONTENT_RATE) * np.float32(GAIN)
    found = _detector().detect(sound, CONTENT_RATE, f0_min, f0_max)
    return np.where(found.confidence >= VOICED_FROM, found.pitch_hz, 0.0), found.timestamps


def _detector() -> SwiftF0:
    """The one network, loaded when first asked for; several threads may use it at once, each on a core of its own."""
    with _lock:
        if not _detectors:
            from swift_f0 import SwiftF0

            _detectors.append(SwiftF0(threads=1))
    return _detectors[0]
