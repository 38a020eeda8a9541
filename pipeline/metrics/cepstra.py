"""Cepstra of a log mel: what all who judge hear of it. One cosine transform, orthonormal, of type II."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

COEFFICIENTS = 24
DEPTH = 8.0  # nepers under a frame's peak that are heard
SOFT = 4.0  # nepers under a clip's loudest frame: what is softer says nothing of who sings

Frames = NDArray[np.float32]


def cosines(bins: int, coefficients: int) -> NDArray[np.float64]:
    """The transform: `levels @ cosines` are coefficients 0 to `coefficients` - 1; float64 (bins, coefficients)."""
    place = (np.arange(bins)[:, None] + 0.5) * np.pi / bins
    basis = np.cos(place * np.arange(coefficients)) * (2 / bins) ** 0.5
    basis[:, 0] *= 0.5**0.5
    return np.asarray(basis, np.float64)


def mel_cepstra(mel: Frames, coefficients: int = COEFFICIENTS) -> Frames:
    """Cepstra of a log mel (M, 128): float32 (M, coefficients), the 0th for loudness; DEPTH under a peak is heard."""
    held = np.maximum(mel, mel.max(axis=1, keepdims=True) - DEPTH)
    return (held @ cosines(mel.shape[1], coefficients)).astype(np.float32)


def cepstrum(mel: Tensor, coefficients: int = COEFFICIENTS) -> Tensor:
    """Mel-cepstral coefficients 1 to `coefficients` of all that is in the ln mel: (..., M, bins) -> (..., M, C)."""
    basis = cosines(mel.shape[-1], coefficients + 1)[:, 1:]
    return mel @ torch.from_numpy(basis).to(mel)


def distance_db(one: NDArray[np.floating], other: NDArray[np.floating], judged: NDArray[np.bool_]) -> float:
    """How far two ln mels (M, bins) are apart in their 24 cepstra, over the frames that are judged (M,): dB.

    It is the root mean square difference of the two spectra as far as those cepstra tell them, loudness aside.
    """
    a, b = (cepstrum(torch.from_numpy(np.asarray(mel, np.float32))[torch.from_numpy(judged)]) for mel in (one, other))
    power = (a - b).square().sum(-1) / one.shape[1]
    return float(power.sqrt().mean()) * 20 / float(np.log(10))


def loud(mel: Frames) -> NDArray[np.bool_]:
    """Frames of a log mel (M, 128) that are near a clip's loudest: (M,)."""
    level = mel.max(axis=1)
    return level > level.max(initial=-np.inf) - SOFT


def own_scale(mels: Sequence[Frames], coefficients: int = COEFFICIENTS) -> tuple[Frames, Frames]:
    """Mean and deviation of the cepstra of the loud frames of one voice's log mels (M, 128): (coefficients,) each."""
    frames = np.concatenate([mel_cepstra(mel, coefficients)[loud(mel)] for mel in mels])
    return frames.mean(0), frames.std(0) + 1e-3


def beside(frames: Frames, reach: Sequence[int]) -> Frames:
    """Each frame with its neighbours, `reach` frames away: (M, C) -> (M, C * len(reach))."""
    at = np.clip(np.arange(len(frames))[:, None] + np.array(reach), 0, len(frames) - 1)
    return frames[at].reshape(len(frames), -1)
