"""The oracle: a system that is given the true phones. It shows what can be reached when no word is lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from ...data.singers import Score
from ...pipeline.metrics.baselines import EDGE_SECONDS, TRUE_NEIGHBOURS
from ...pipeline.metrics.cepstra import Frames
from ...pipeline.vocoder.pulse_noise import PulseNoise


class TrueFrames:
    """Every frame is made of the target's own of the phone that is truly sung: what knowing the words comes to.

    Of those it takes the ones at the same place within the phone, as high and as loud beside the clip's loudest. They
    are envelopes without harmonics, so that they can be sung at any f0.
    """

    def __init__(self, target: Sequence[Frames], scores: Sequence[Score]):
        """From the target's log mels (M, 128) and what it sang."""
        self.vocoder = PulseNoise()
        levels = [self._levels(mel, score) for mel, score in zip(target, scores, strict=True)]
        self.levels = np.concatenate([level - level.max(axis=1, keepdims=True) for level in levels])
        self.phones = np.concatenate([score.mel_labels() for score in scores])
        self.places = np.concatenate([_place(mel, score) for mel, score in zip(target, scores, strict=True)])

    def __call__(self, mel: Frames, score: Score) -> Frames:
        """The song's log mel (M, 128) and what is sung -> sound (M * 512,), as loud as it was."""
        labels, places = score.mel_labels(), _place(mel, score)
        out = np.zeros((len(labels), self.levels.shape[1]))
        for phone in np.unique(labels):
            own, at = np.flatnonzero(self.phones == phone), np.flatnonzero(labels == phone)
            own = own if len(own) else np.arange(len(self.phones))
            search = NearestNeighbors(n_neighbors=min(TRUE_NEIGHBOURS, len(own))).fit(self.places[own])
            out[at] = self.levels[own[search.kneighbors(places[at])[1]]].mean(axis=1)
        loudest = self._levels(mel, score).max(axis=1) - out.max(axis=1)
        return self.vocoder.sound(out + loudest[:, None], score.mel_f0())

    def _levels(self, mel: Frames, score: Score) -> NDArray[np.float64]:
        return self.vocoder.levels(mel, score.mel_f0())


def _place(mel: Frames, score: Score) -> NDArray[np.float64]:
    """By what frames of one phone differ: since when and until when it sounds, how loud and how high it is: (M, 4)."""
    since, until = (np.minimum(seconds, EDGE_SECONDS) / EDGE_SECONDS for seconds in score.beside())
    loud = (mel.max(axis=1) - mel.max()) / 3  # nepers
    return np.stack([3 * since, 3 * until, loud, 2 * np.log2(np.maximum(score.mel_f0(), 1.0))], axis=1)
