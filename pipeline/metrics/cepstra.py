"""Mel cepstra: an orthonormal cosine transform (DCT-II) of the log mel, which all classifiers and measures share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

COEFFICIENTS = 24
FLOOR_UNDER_PEAK = 8.0  # nepers under a frame's peak: lower values are raised to this
LOUD_UNDER_PEAK = 4.0  # nepers under a clip's loudest frame: softer frames say little about the voice

Frames = NDArray[np.float32]


def cosines(bins: int, coefficients: int) -> NDArray[np.float64]:
    """The transform's matrix, float64 (bins, coefficients): `levels @ matrix` are coefficients from the 0th on."""
    place = (np.arange(bins)[:, None] + 0.5) * np.pi / bins
    basis = np.cos(place * np.arange(coefficients)) * (2 / bins) ** 0.5
    basis[:, 0] *= 0.5**0.5
    return np.asarray(basis, np.float64)


def mel_cepstra(mel: Frames, coefficients: int = COEFFICIENTS) -> Frames:
    """Cepstra of a log mel (M, bins) floored at FLOOR_UNDER_PEAK: float32 (M, coefficients), with the 0th."""
    held = np.maximum(mel, mel.max(axis=1, keepdims=True) - FLOOR_UNDER_PEAK)
    return (held @ cosines(mel.shape[1], coefficients)).astype(np.float32)


def cepstrum(mel: Tensor, coefficients: int = COEFFICIENTS) -> Tensor:
    """Mel cepstra 1 to `coefficients` of an ln mel, without a floor: (..., M, bins) -> (..., M, coefficients)."""
    basis = cosines(mel.shape[-1], coefficients + 1)[:, 1:]
    return mel @ torch.from_numpy(basis).to(mel)


def distance_db(one: NDArray[np.floating], other: NDArray[np.floating], judged: NDArray[np.bool_]) -> float:
    """The distance of two ln mels (M, bins) in dB, over the frames where `judged` (M,) is true.

    It is the root mean square difference of the two spectra as their cepstra 1 to 24 describe them.
    """
    a, b = (cepstrum(torch.from_numpy(np.asarray(mel, np.float32))[torch.from_numpy(judged)]) for mel in (one, other))
    power = (a - b).square().sum(-1) / one.shape[1]
    return float(power.sqrt().mean()) * 20 / float(np.log(10))


def loud(mel: Frames) -> NDArray[np.bool_]:
    """Whether each frame of a log mel (M, bins) is within LOUD_UNDER_PEAK of the loudest: bool (M,)."""
    level = mel.max(axis=1)
    return level > level.max(initial=-np.inf) - LOUD_UNDER_PEAK


def own_scale(mels: Sequence[Frames], coefficients: int = COEFFICIENTS) -> tuple[Frames, Frames]:
    """Mean and deviation of the cepstra of the loud frames of log mels (M, 128): float32 (coefficients,) each."""
    frames = np.concatenate([mel_cepstra(mel, coefficients)[loud(mel)] for mel in mels])
    return frames.mean(0), frames.std(0) + 1e-3


def beside(frames: Frames, reach: Sequence[int]) -> Frames:
    """Each frame beside those `reach` frames away, the ends repeated: (M, C) -> (M, C * len(reach))."""
    at = np.clip(np.arange(len(frames))[:, None] + np.array(reach), 0, len(frames) - 1)
    return frames[at].reshape(len(frames), -1)
