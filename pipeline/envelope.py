"""The envelope under a mel's harmonics: CheapTrick's idea (Morise, 2015), on the mel.

An average over the width of one f0 removes the harmonics and leaves the level of the voice at every frequency.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .frames import MEL_RATE
from .interpolation import columns_at
from .mel import F_MAX, FLOOR, N_FFT, filterbank

CEILING = int(F_MAX / MEL_RATE * N_FFT)  # the first bin above the mel's range


def envelope(mel: NDArray[np.float32], f0: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mel as STFT magnitudes without its harmonics: (M, n_fft // 2 + 1)."""
    weights = filterbank().numpy().astype(np.float64)
    area = weights.sum(0)  # the mel of a flat spectrum of magnitude 1
    centres = band_centres()
    magnitude = np.exp(np.asarray(mel, np.float64)) / area
    bins = np.arange(N_FFT // 2 + 1)
    # Linear interpolation, as a matrix: every bin is a mean of the two mel bands around it.
    spectrum = columns_at(magnitude, np.interp(bins, centres, np.arange(len(centres))))
    # The mel has no values above its ceiling; the level of voices falls there.
    spectrum[:, CEILING:] *= (CEILING / bins[CEILING:]) ** 4
    return np.maximum(_box(spectrum, np.where(f0 > 0, f0, 0.0) * N_FFT / MEL_RATE), FLOOR)


def _box(spectrum: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running mean of each frame over `width` bins, fractions included; widths below 1 change nothing. (M, K), (M,)."""
    bins = spectrum.shape[1]
    mirrored = np.concatenate([spectrum[:, :0:-1], spectrum, spectrum[:, -2::-1]], axis=1)
    running = np.concatenate([np.zeros((len(spectrum), 1)), mirrored.cumsum(1)], axis=1)
    half = np.maximum(width, 1.0)[:, None] / 2
    middle = bins - 1 + np.arange(bins)[None] + 0.5

    def at(position: NDArray[np.float64]) -> NDArray[np.float64]:
        low = np.floor(position).astype(int)
        fraction = position - low
        below = np.take_along_axis(running, low, 1)
        return below + fraction * (np.take_along_axis(running, low + 1, 1) - below)

    return (at(middle + half) - at(middle - half)) / (2 * half)


def band_centres() -> NDArray[np.float64]:
    """Where each mel band's weight lies, in STFT bins: (n_mels,)."""
    weights = filterbank().numpy().astype(np.float64)
    centres: NDArray[np.float64] = (weights * np.arange(len(weights))[:, None]).sum(0) / weights.sum(0)
    return centres
