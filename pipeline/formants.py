"""Moving formants, and not the pitch: a longer or shorter throat, on the mel, for any vocoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .envelope import band_centres, envelope
from .mel import FLOOR


def shift_formants(mel: NDArray[np.float32], f0: NDArray[np.float32], semitones: float) -> NDArray[np.float32]:
    """ln mel (M, 128) with its envelope moved up by `semitones`; f0 (M,) Hz, 0 = unvoiced, stays what it is.

    Harmonics stay where they are and take the moved envelope's level: ln mel + ln E(f / r) - ln E(f).
    """
    if semitones == 0:
        return mel
    smooth = np.log(envelope(mel, f0))
    bins, centres = np.arange(smooth.shape[1]), band_centres()
    from_bins = centres / 2.0 ** (semitones / 12)
    change = np.stack([np.interp(from_bins, bins, frame) - np.interp(centres, bins, frame) for frame in smooth])
    return np.maximum(mel + change, np.log(FLOOR)).astype(np.float32)
