"""Listeners who learned from the truth and then judge results: which phone is that, and who sings?

Both hear mel cepstra of the log mel, nothing of the encoder that is judged, so they also hear a store's mels. The phone
listener is a small network over a quarter second; the speaker listener is linear (LDA: Fisher, 1936) over half-second
pieces.
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

REACH = (-10, -6, -3, -1, 0, 1, 3, 6, 10)  # mel frames beside the one that is judged
PIECE = round(0.5 * MEL_FRAME_RATE)  # mel frames that the speaker listener hears at a time

Frames = NDArray[np.float32]
Labels = NDArray[np.int64]


class PhoneClassifier:
    """Tells the phone of every mel frame. `silence` is the label that is not counted."""

    def __init__(self, mels: Sequence[Frames], labels: Sequence[Labels], silence: int = 0, seed: int = 0):
        """Learns from log mels (M, 128) and the labels of their frames (M,)."""
        self.silence = silence
        inputs = np.concatenate([beside(mel_cepstra(mel), REACH) for mel in mels])
        self.scale = StandardScaler().fit(inputs)
        self.network = MLPClassifier((192,), alpha=1e-3, batch_size=512, max_iter=14, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is stopped before it has converged, so as not to learn by heart
            self.network.fit(self.scale.transform(inputs), np.concatenate(list(labels)))

    def tell(self, mel: Frames) -> Labels:
        return np.asarray(self.network.predict(self.scale.transform(beside(mel_cepstra(mel), REACH))), np.int64)

    def accuracy(self, mel: Frames, labels: Labels) -> float:
        """Share of frames, silence aside, whose phone is told right."""
        count = min(len(mel), len(labels))
        told, sounds = self.tell(mel)[:count], labels[:count] != self.silence
        return float(np.mean(told[sounds] == labels[:count][sounds]))


class SpeakerClassifier:
    """Tells who sings, of a few."""

    def __init__(self, singers: Mapping[str, Sequence[Frames]]):
        """Learns from log mels (M, 128) of each."""
        inputs, names = [], []
        for name, mels in singers.items():
            pieces = [piece for mel in mels for piece in _pieces(mel, PIECE // 4)]
            inputs += pieces
            names += [name] * len(pieces)
        self.scale = StandardScaler().fit(np.array(inputs))
        self.model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        self.model.fit(self.scale.transform(np.array(inputs)), names)

    def shares(self, mel: Frames) -> dict[str, float]:
        """Which share of half-second pieces it gives to whom; all 0 where nothing can be heard."""
        pieces = _pieces(mel, PIECE // 2)
        told = self.model.predict(self.scale.transform(np.array(pieces))) if pieces else np.array([])
        return {str(name): float(np.mean(told == name)) if len(told) else 0.0 for name in self.model.classes_}


def _pieces(mel: Frames, hop: int) -> list[Frames]:
    """Mean and deviation of the loud frames of each piece; a piece with few of them is passed over."""
    if len(mel) == 0:
        return []
    frames, heard = mel_cepstra(mel), loud(mel)
    out = []
    for start in range(0, len(frames) - PIECE + 1, hop):
        own = frames[start : start + PIECE, 1:][heard[start : start + PIECE]]
        if len(own) >= PIECE // 2:
            out.append(np.concatenate([own.mean(axis=0), own.std(axis=0)]))
    return out
