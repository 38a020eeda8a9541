"""Gains of pulses and noise at every frequency, for vocoders without weights.

The mel has the level of each band, with the harmonics of its f0 in it. An average over the width of one f0 removes them
(CheapTrick's idea: Morise, 2015). The result, divided by that of a flat spectrum smoothed in the same way, is the
envelope.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from ..envelope import CEILING, envelope
from ..frames import MEL_RATE
from ..mel import N_FFT, log_mel
from .vocoder import Frames

BREATH = ((0.0, -34.0), (3_000.0, -25.0), (8_000.0, -8.0), (14_000.0, -3.0))  # Hz, noise under a voice in dB
FLAT_FRAMES, EDGE = (
    64,
    8,
)  # mel frames of a flat spectrum that are synthesised, and how many at each end are not measured


class Levels:
    """From mel and f0 to ln gains, for one way of synthesis.

    Args:
        sing: synthesises a flat spectrum of gain 1 at f0 (M,), 0 = noise, as float32 (512 M,). Its mel is measured
            every quarter octave from 50 to 1600 Hz, and for noise: it is the mel of gain 1.
    """

    def __init__(self, sing: Callable[[Frames], Frames]):
        self._pitches = 50.0 * 2.0 ** np.arange(0, 5.25, 0.25)
        self._flat = np.array([_measured(sing, pitch) for pitch in (*self._pitches, 0.0)])

    def __call__(self, mel: Frames, f0: Frames) -> NDArray[np.float64]:
        """ln mel (M, 128), f0 Hz (M,) -> ln gains (M, n_fft // 2 + 1), at the bins of the mel's spectra."""
        place = np.interp(np.log(np.maximum(f0, 1.0)), np.log(self._pitches), np.arange(len(self._pitches)))
        low = np.minimum(place.astype(int), len(self._pitches) - 2)
        part = (place - low)[:, None]
        voiced = (1 - part) * self._flat[low] + part * self._flat[low + 1]
        level = np.log(envelope(mel, f0) / np.where(f0[:, None] > 0, voiced, self._flat[-1]))
        # Energy of a mel below f0 is not the voice: it is noise, or another note that the model predicts there.
        first = np.minimum(np.ceil(f0 * N_FFT / MEL_RATE).astype(int), level.shape[1] - 1)
        bins = np.maximum(np.arange(level.shape[1]), np.where(f0 > 0, first, 0)[:, None])
        return np.take_along_axis(level, bins, 1)


def _measured(sing: Callable[[Frames], Frames], pitch: float) -> NDArray[np.float64]:
    f0 = np.full(FLAT_FRAMES, pitch, np.float32)
    flat = log_mel(torch.from_numpy(sing(f0))).numpy()[EDGE:-EDGE]
    row = envelope(flat, f0[EDGE:-EDGE]).mean(0)
    # The mel of noise varies at random along frequency, although the spectrum is flat: smooth that out.
    row[CEILING:] = row[CEILING - 32 : CEILING].mean()
    return np.asarray(uniform_filter1d(row, 9, mode="nearest"))


def breath(bins: int) -> NDArray[np.float64]:
    """The share of noise in voiced frames, as an amplitude, at `bins` frequencies from 0 to 22050 Hz: (bins,)."""
    hertz, decibels = zip(*BREATH, strict=True)
    return 10 ** (np.interp(np.linspace(0, MEL_RATE / 2, bins), hertz, decibels) / 20)
