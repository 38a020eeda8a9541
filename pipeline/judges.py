"""Judges who learn from the truth and then listen to results: which phone is that, and who sings?

Both hear mel cepstra of the log mel, nothing of the encoder that is judged. The phone judge is a small network over a
quarter second; the speaker judge is linear (LDA: Fisher, 1936) over half-second pieces.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from .frames import MEL_FRAME_RATE, MEL_HOP
from .mel import log_mel, loudness

COEFFICIENTS = 24
REACH = (-10, -6, -3, -1, 0, 1, 3, 6, 10)  # mel frames beside the one that is judged
PIECE = round(0.5 * MEL_FRAME_RATE)  # mel frames that the speaker judge hears at a time
SOFT_DB = 35.0  # what is further under a clip's loudest frame says nothing of who sings

Frames = NDArray[np.float32]
Labels = NDArray[np.int64]


def heard(wav: Frames) -> Frames:
    """Cepstra of the log mel: float32 (T,) at 44.1 kHz -> float32 (T // 512, COEFFICIENTS)."""
    mel = log_mel(torch.from_numpy(np.ascontiguousarray(wav, np.float32))).numpy()
    return dct(np.maximum(mel, mel.max(axis=1, keepdims=True) - 8.0), norm="ortho", axis=1)[:, :COEFFICIENTS]


class PhoneJudge:
    """Tells the phone of every mel frame. `silence` is the label that is not counted."""

    def __init__(self, wavs: Sequence[Frames], labels: Sequence[Labels], silence: int = 0, seed: int = 0):
        """Learns from sound (T,) and the labels of its mel frames (T // 512,)."""
        self.silence = silence
        inputs = np.concatenate([_beside(heard(wav)) for wav in wavs])
        self.scale = StandardScaler().fit(inputs)
        self.network = MLPClassifier((192,), alpha=1e-3, batch_size=512, max_iter=14, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is stopped before it has converged, so as not to learn by heart
            self.network.fit(self.scale.transform(inputs), np.concatenate(list(labels)))

    def tell(self, wav: Frames) -> Labels:
        return np.asarray(self.network.predict(self.scale.transform(_beside(heard(wav)))), np.int64)

    def accuracy(self, wav: Frames, labels: Labels) -> float:
        """Share of frames, silence aside, whose phone is told right."""
        count = min(len(wav) // MEL_HOP, len(labels))
        told, sounds = self.tell(wav)[:count], labels[:count] != self.silence
        return float(np.mean(told[sounds] == labels[:count][sounds]))


class SpeakerJudge:
    """Tells who sings, of a few."""

    def __init__(self, singers: dict[str, Sequence[Frames]]):
        """Learns from recordings of each."""
        inputs, names = [], []
        for name, wavs in singers.items():
            for wav in wavs:
                pieces = _pieces(wav, PIECE // 4)
                inputs += pieces
                names += [name] * len(pieces)
        self.scale = StandardScaler().fit(np.array(inputs))
        self.model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        self.model.fit(self.scale.transform(np.array(inputs)), names)

    def shares(self, wav: Frames) -> dict[str, float]:
        """Which share of half-second pieces it gives to whom."""
        pieces = _pieces(wav, PIECE // 2)
        told = self.model.predict(self.scale.transform(np.array(pieces))) if pieces else np.array([])
        return {str(name): float(np.mean(told == name)) if len(told) else 0.0 for name in self.model.classes_}


def _beside(frames: Frames) -> Frames:
    """Each frame with its neighbours: (M, C) -> (M, C * len(REACH))."""
    at = np.clip(np.arange(len(frames))[:, None] + np.array(REACH), 0, len(frames) - 1)
    return frames[at].reshape(len(frames), -1)


def _pieces(wav: Frames, hop: int) -> list[Frames]:
    """Mean and deviation of the audible frames of each piece; a piece with few of them is passed over."""
    frames = heard(wav)
    level = loudness(torch.from_numpy(np.ascontiguousarray(wav, np.float32))).numpy()
    loud = level > level.max() - SOFT_DB
    out = []
    for start in range(0, len(frames) - PIECE + 1, hop):
        own = frames[start : start + PIECE, 1:][loud[start : start + PIECE]]
        if len(own) >= PIECE // 2:
            out.append(np.concatenate([own.mean(axis=0), own.std(axis=0)]))
    return out
