"""What conversion comes to without learning anything: the rows that a model is printed beside.

All are given some recordings of both voices, as a model is, and never the song's true conversion. The last, an oracle,
is told besides which phone is sung when, in the corpus and in the song.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, firwin2
from sklearn.neighbors import NearestNeighbors

from ..frames import MEL_RATE
from ..mel import F_MAX, N_FFT, filterbank
from .cepstra import Frames, beside, loud, mel_cepstra, own_scale

TAPS = 1025  # of the equaliser
CONTEXT = (-8, -4, 0, 4, 8)  # mel frames that a nearest neighbour is to be like
NEIGHBOURS = 4
EDGE_SECONDS = 0.06  # of a phone that differ from its middle
TRUE_NEIGHBOURS = 2
FORMANT_RATIOS = 2.0 ** np.linspace(-0.5, 0.5, 21)  # vocal tracts, the target's over the source's


def centres_hz() -> NDArray[np.float64]:
    """The middle of each mel band, Hz (128,)."""
    weights = filterbank().numpy().astype(np.float64)
    return (weights * np.arange(len(weights))[:, None]).sum(0) / weights.sum(0) * MEL_RATE / N_FFT


def mean_spectrum(mels: Sequence[Frames]) -> NDArray[np.float64]:
    """Mean ln mel of the loud frames, (128,)."""
    return np.concatenate([mel[loud(mel)] for mel in mels]).astype(np.float64).mean(0)


def equalised(wav: Frames, source: Sequence[Frames], target: Sequence[Frames]) -> Frames:
    """The source's song through the filter that makes its voice's mean spectrum the target's. wav (T,) -> (T,)."""
    gain = mean_spectrum(target) - mean_spectrum(source)
    hertz = np.concatenate([[0.0], centres_hz(), [F_MAX, MEL_RATE / 2]])
    amplitude = np.exp(np.concatenate([gain[:1], gain, gain[-1:], gain[-1:]]))
    keep = np.concatenate([[True], np.diff(hertz) > 0])
    taps = firwin2(TAPS, hertz[keep], amplitude[keep], fs=MEL_RATE)
    return fftconvolve(wav, taps, mode="same").astype(np.float32)


def formant_shifted(mel: Frames, ratio: float) -> Frames:
    """A log mel whose spectrum is stretched by `ratio` along frequency, as by a tract that much shorter."""
    hertz = centres_hz()
    place = np.interp(hertz / ratio, hertz, np.arange(len(hertz)))
    low = np.minimum(place.astype(int), len(hertz) - 2)
    part = (place - low).astype(np.float32)
    return np.asarray(mel[:, low] * (1 - part) + mel[:, low + 1] * part, np.float32)


class NearestFrames:
    """Each moment of the source's song is replaced by the target's frames that sound most like it.

    Likeness is of mel cepstra in a quarter second around, each voice's own mean and deviation taken out, after the
    source's tract has been stretched to the target's length.
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
            seen = np.concatenate([self._input(formant_shifted(mel, ratio), scale) for mel in probe])[::3]
            costs.append(self.search.kneighbors(seen)[0].mean())
        self.ratio = float(FORMANT_RATIOS[int(np.argmin(costs))])
        self.source_scale = own_scale([formant_shifted(mel, self.ratio) for mel in source])

    def __call__(self, mel: Frames) -> Frames:
        """The song's log mel (M, 128) out of the target's frames, as loud as it was."""
        found = self.search.kneighbors(self._input(formant_shifted(mel, self.ratio), self.source_scale))[1]
        out = self.mels[found].mean(axis=1)
        return np.asarray(out + (mel.max(axis=1) - out.max(axis=1))[:, None], np.float32)

    def _input(self, mel: Frames, scale: tuple[Frames, Frames]) -> Frames:
        return beside((mel_cepstra(mel) - scale[0]) / scale[1], CONTEXT)
