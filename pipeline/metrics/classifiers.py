"""Classifiers of phones and speakers, trained on recordings whose phones and speakers are known.

Their inputs are mel cepstra, which are independent of the encoder under test. The phone classifier is a network with
one hidden layer over a quarter second, the speaker classifier is linear (LDA: Fisher, 1936) over half seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from ..frames import MEL_FRAME_RATE
from .cepstra import beside, loud, mel_cepstra

REACH = (-10, -6, -3, -1, 0, 1, 3, 6, 10)  # mel frames, from the one that is classified
PIECE = round(0.5 * MEL_FRAME_RATE)  # mel frames for one speaker decision

Frames = NDArray[np.float32]
Labels = NDArray[np.int64]


class PhoneClassifier:
    """The phone of every mel frame.

    Args:
        mels: log mels (M, 128) to learn from.
        labels: the phone numbers of their frames, int64 (M,).
        silence: the label that accuracy leaves out.
        seed: of the network's first weights.
    """

    def __init__(self, mels: Sequence[Frames], labels: Sequence[Labels], silence: int = 0, seed: int = 0):
        self.silence = silence
        inputs = np.concatenate([beside(mel_cepstra(mel), REACH) for mel in mels])
        self.scale = StandardScaler().fit(inputs)
        self.network = MLPClassifier((192,), alpha=1e-3, batch_size=512, max_iter=14, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is stopped before it converges, so as not to overfit
            self.network.fit(self.scale.transform(inputs), np.concatenate(list(labels)))

    def predict(self, mel: Frames) -> Labels:
        """The phone numbers of a log mel (M, 128): int64 (M,)."""
        return np.asarray(self.network.predict(self.scale.transform(beside(mel_cepstra(mel), REACH))), np.int64)

    def accuracy(self, mel: Frames, labels: Labels) -> float:
        """The share of frames of a log mel (M, 128), silence left out, whose phone of `labels` (M,) is predicted."""
        count = min(len(mel), len(labels))
        predicted, sounds = self.predict(mel)[:count], labels[:count] != self.silence
        return float(np.mean(predicted[sounds] == labels[:count][sounds]))


class SpeakerClassifier:
    """The speaker, of a few, of every half second.

    Args:
        speakers: log mels (M, 128) of each, by name.
    """

    def __init__(self, speakers: Mapping[str, Sequence[Frames]]):
        inputs, names = [], []
        for name, mels in speakers.items():
            pieces = [piece for mel in mels for piece in _pieces(mel, PIECE // 4)]
            inputs += pieces
            names += [name] * len(pieces)
        self.scale = StandardScaler().fit(np.array(inputs))
        self.model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        self.model.fit(self.scale.transform(np.array(inputs)), names)

    def shares(self, mel: Frames) -> dict[str, float]:
        """The share of half seconds of a log mel (M, 128) given to each speaker; all 0 where it is too short."""
        pieces = _pieces(mel, PIECE // 2)
        found = self.model.predict(self.scale.transform(np.array(pieces))) if pieces else np.array([])
        return {str(name): float(np.mean(found == name)) if len(found) else 0.0 for name in self.model.classes_}


def _pieces(mel: Frames, hop: int) -> list[Frames]:
    """Mean and deviation, (46,), of the loud frames' cepstra in each half second that has enough of them."""
    if len(mel) == 0:
        return []
    frames, counted = mel_cepstra(mel), loud(mel)
    out = []
    for start in range(0, len(frames) - PIECE + 1, hop):
        own = frames[start : start + PIECE, 1:][counted[start : start + PIECE]]
        if len(own) >= PIECE // 2:
            out.append(np.concatenate([own.mean(axis=0), own.std(axis=0)]))
    return out
