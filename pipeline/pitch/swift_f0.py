"""Pitch and voicing by SwiftF0 (Nieradzik, 2025, arXiv 2508.18440): a network of 14,386 weights, in its own wheel.

It hears 16 kHz and answers every 16 ms between 47 and 2094 Hz. Frame i is centred at 16 i ms, and nothing that lies
more than 176 ms off has a say in it. Its pitch is right to a few cents; `pitch.track` makes it finer.
"""

from __future__ import annotations

import hashlib
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
from numpy.typing import NDArray

from ...common.errors import SvcError
from ..frames import CONTENT_RATE, MEL_RATE

if TYPE_CHECKING:
    from swift_f0 import SwiftF0

LOWEST_HZ, HIGHEST_HZ = 46.875, 2093.75  # what the network can name
NARROWEST = 1.05  # highest over lowest f0 that can be searched for: the network's steps are 1.041
VOICED_FROM = 0.5  # confidence
# The network does not normalise its input and goes deaf in soft recordings, not in loud ones. A fixed gain, unlike a
# normalisation, makes no frame depend on how loud others are.
GAIN = 8.0

MISSING = (
    "f0 method 'swift-f0' needs a library that cannot be imported ({}): pip install swift-f0, or choose another method"
)

_lock = threading.Lock()
_loaded: list[SwiftF0] = []


class MissingLibraryError(SvcError, ImportError):
    """An f0 method's library is not installed. The message is a sentence for the user."""


def estimate(wav: NDArray[np.float32], f0_min: float, f0_max: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """float32 (T,) at 44.1 kHz -> f0 and its frames' centres, float64 (F,): Hz, 0 where unvoiced, and seconds.

    Looks for f0 between `f0_min` and `f0_max` Hz. Where that is too narrow for the network, or beyond it, what comes
    back may lie outside.
    """
    heard = soxr.resample(wav, MEL_RATE, CONTENT_RATE) * np.float32(GAIN)
    lowest = min(max(f0_min, LOWEST_HZ), HIGHEST_HZ / NARROWEST)
    found = _detector().detect(heard, CONTENT_RATE, lowest, max(f0_max, lowest * NARROWEST))
    return np.where(found.confidence >= VOICED_FROM, found.pitch_hz, 0.0), found.timestamps


def weights_hash() -> str:
    """sha256 of the network, without loading it. Raises MissingLibraryError."""
    return hashlib.sha256(model_file().read_bytes()).hexdigest()


def model_file() -> Path:
    """The network's ONNX file: takes `audio` (1, T) at 16 kHz, `fmin` and `fmax` in Hz; gives pitch and confidence.

    MIT licence. Raises MissingLibraryError.
    """
    found = find_spec("swift_f0")
    if found is None or not found.submodule_search_locations:
        raise MissingLibraryError(MISSING.format("it is not installed"))
    return Path(found.submodule_search_locations[0], "model.onnx")


def _detector() -> SwiftF0:
    """The one network, loaded when first asked for. Any number of threads may use it, each on its own core."""
    with _lock:
        if not _loaded:
            try:
                from swift_f0 import SwiftF0
            except ImportError as error:
                raise MissingLibraryError(MISSING.format(error)) from error
            _loaded.append(SwiftF0(threads=1))
    return _loaded[0]
