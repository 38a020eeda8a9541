"""Conversions without training: a model has to be better than these.

All use some recordings of both voices, as a model does, and never the song's true conversion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, firwin2
from sklearn.neighbors import NearestNeighbors

from ..frames import MEL_RATE
from ..interpolation import columns_at
from ..mel import F_MAX, N_FFT, filterbank
from .cepstra import Frames, beside, loud, mel_cepstra, own_scale

TAPS = 1025  # of the equaliser
CONTEXT = (-8, -4, 0, 4, 8)  # mel frames that are compared for a neighbour
NEIGHBOURS = 4
FORMANT_RATIOS = 2.0 ** np.linspace(-0.5, 0.5, 21)  # formants of the target over the source's


def centres_hz() -> NDArray[np.float64]:
    """The centre of gravity of each mel filter: Hz, float64 (128,)."""
    weights = filterbank().numpy().astype(np.float64)
    return (weights * np.arange(len(weights))[:, None]).sum(0) / weights.sum(0) * MEL_RATE / N_FFT


def mean_spectrum(mels: Sequence[Frames]) -> NDArray[np.float64]:
    """Mean of the loud frames of log mels (M, 128): float64 (128,), ln magnitude."""
    return np.concatenate([mel[loud(mel)] for mel in mels]).astype(np.float64).mean(0)


def equalised(wav: Frames, source: Sequence[Frames], target: Sequence[Frames]) -> Frames:
    """A linear-phase filter that changes the source's mean spectrum into the target's.

    Args:
        wav: the song, float32 (T,) at 44.1 kHz.
        source, target: log mels (M, 128) of recordings of both voices.

    Returns:
        float32 (T,) at 44.1 kHz.
    """
    gain = mean_spectrum(target) - mean_spectrum(source)
    hertz = np.concatenate([[0.0], centres_hz(), [F_MAX, MEL_RATE / 2]])
    amplitude = np.exp(np.concatenate([gain[:1], gain, gain[-1:], gain[-1:]]))
    keep = np.concatenate([[True], np.diff(hertz) > 0])
    taps = firwin2(TAPS, hertz[keep], amplitude[keep], fs=MEL_RATE)
    return fftconvolve(wav, taps, mode="same").astype(np.float32)


def formant_shifted(mel: Frames, ratio: float) -> Frames:
    """A log mel (M, 128) stretched by `ratio` along frequency, as by a shorter vocal tract: float32 (M, 128)."""
    hertz = centres_hz()
    return columns_at(mel, np.interp(hertz / ratio, hertz, np.arange(len(hertz))))


class NearestFrames:
    """Replaces each frame of the source's song by the mean of the target's NEIGHBOURS nearest frames.

    Frames are compared by the mel cepstra of a fifth of a second around them, normalised to mean 0 and deviation 1 for
    each voice, after the source's formants are moved to where the target's are: by the ratio, of FORMANT_RATIOS, with
    the smallest mean distance.
    """

    def __init__(self, source: Sequence[Frames], target: Sequence[Frames]):
        """From log mels (M, 128) of both voices."""
        self.mels = np.concatenate(target)
        self.target_scale = own_scale(target)
        inputs = np.concatenate(
            [beside((mel_cepstra(mel) - self.target_scale[0]) / self.target_scale[1], CONTEXT) for mel in target]
        )
        self.search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(inputs)
        probe = [mel[:200] for mel in source[:4]]
        costs = []
        for ratio in FORMANT_RATIOS:
            stretched = [formant_shifted(mel, ratio) for mel in source]
            scale = own_scale(stretched)
            frames = np.concatenate([self._input(formant_shifted(mel, ratio), scale) for mel in probe])[::3]
            costs.append(self.search.kneighbors(frames)[0].mean())
        self.ratio = float(FORMANT_RATIOS[int(np.argmin(costs))])
        self.source_scale = own_scale([formant_shifted(mel, self.ratio) for mel in source])

    def __call__(self, mel: Frames) -> Frames:
        """The song's log mel (M, 128) made of the target's frames at the song's levels: float32 (M, 128)."""
        found = self.search.kneighbors(self._input(formant_shifted(mel, self.ratio), self.source_scale))[1]
        out = self.mels[found].mean(axis=1)
        return np.asarray(out + (mel.max(axis=1) - out.max(axis=1))[:, None], np.float32)

    def _input(self, mel: Frames, scale: tuple[Frames, Frames]) -> Frames:
        return beside((mel_cepstra(mel) - scale[0]) / scale[1], CONTEXT)
