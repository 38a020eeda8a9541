"""An oracle: a system with the true phones as input, which shows the best result without lost words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from ...data.singers import Score
from ...pipeline.metrics.cepstra import Frames
from ...pipeline.vocoder.pulse_noise import PulseNoise

EDGE_SECONDS = 0.06  # from a phone's boundaries within which its frames differ from its middle
NEIGHBOURS = 2


class Oracle:
    """Makes every frame of the target's own frames of the same phone.

    Of those it takes the nearest by their place within the phone, their level and their f0. Frames are spectral
    envelopes without harmonics, so that they can be synthesised at any f0.

    Args:
        target: log mels (M, 128) of the target's corpus.
        scores: their phones, f0 and times.
    """

    def __init__(self, target: Sequence[Frames], scores: Sequence[Score]):
        self.vocoder = PulseNoise()
        levels = [self._levels(mel, score) for mel, score in zip(target, scores, strict=True)]
        self.levels = np.concatenate([level - level.max(axis=1, keepdims=True) for level in levels])
        self.phones = np.concatenate([score.mel_labels() for score in scores])
        self.places = np.concatenate([_place(mel, score) for mel, score in zip(target, scores, strict=True)])

    def __call__(self, mel: Frames, score: Score) -> Frames:
        """The song's log mel (M, 128) and score -> the result at the song's level, float32 (M * 512,), 44.1 kHz."""
        labels, places = score.mel_labels(), _place(mel, score)
        out = np.zeros((len(labels), self.levels.shape[1]))
        for phone in np.unique(labels):
            own, at = np.flatnonzero(self.phones == phone), np.flatnonzero(labels == phone)
            own = own if len(own) else np.arange(len(self.phones))
            search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(own))).fit(self.places[own])
            out[at] = self.levels[own[search.kneighbors(places[at])[1]]].mean(axis=1)
        loudest = self._levels(mel, score).max(axis=1) - out.max(axis=1)
        return self.vocoder.sound(out + loudest[:, None], score.mel_f0())

    def _levels(self, mel: Frames, score: Score) -> NDArray[np.float64]:
        return self.vocoder.levels(mel, score.mel_f0())


def _place(mel: Frames, score: Score) -> NDArray[np.float64]:
    """The features by which frames of one phone are compared: time since its start and to its end, level, f0; float64
    (M, 4).
    """
    since, until = (np.minimum(seconds, EDGE_SECONDS) / EDGE_SECONDS for seconds in score.seconds_in_phone())
    level = (mel.max(axis=1) - mel.max()) / 3  # nepers
    return np.stack([3 * since, 3 * until, level, 2 * np.log2(np.maximum(score.mel_f0(), 1.0))], axis=1)
