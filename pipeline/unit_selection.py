"""Unit selection: for each unit frame of a song, the frame of the target's recordings that replaces it.

Candidates are the frames with the most similar hidden states, by cosine similarity after each clip's mean and standard
deviation are removed. Among them dynamic programming finds the path with the least cost (Hunt and Black, 1996): a
target cost (hidden state, voicing, f0, loudness) and a concatenation cost, the distance of a frame's envelope from the
envelope of the frame that followed the previous one in the recording.

One frame is taken, and not the mean of the nearest ones as kNN-VC does (Baas et al., 2023, arXiv 2305.18975): a mean
of 4 is smoother than any voice, and lowers the speaker similarity (docs/quality.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

CANDIDATES = 24
JOIN = 0.3  # weight of the concatenation cost, per standard deviation of the envelope
CLIP_END = 0.3  # concatenation cost of leaving the last frame of a clip, beside the envelope's
VOICING, PITCH, LOUDNESS = 0.3, 0.3, 0.2  # weights; PITCH per octave, LOUDNESS per LOUDNESS_STEP, both distances <= 1
LOUDNESS_STEP = 20.0  # dB
OCTAVES = 0.5  # f0 is compared within this distance of the target's median
SHRINKAGE = 50  # frames (1 s): weight of the target's statistics in those of a clip
JOIN_BINS = 28  # bins, evenly spread, by which envelopes are compared
ACTIVE_DB = 40.0  # below the loudest frame: softer frames do not count in the distribution of loudness

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class UnitFrames:
    """A clip at its unit frames.

    Attributes:
        hidden: hidden states, float32 (U, H).
        f0: Hz, 0 = unvoiced, float32 (U,).
        loudness: dBFS, float32 (U,).
    """

    hidden: F32
    f0: F32
    loudness: F32


class UnitSelection:
    """The frames of the target's clips, and the search among them.

    Args:
        clips: the target's clips.
        envelopes: of each clip, ln magnitude without harmonics, float32 (U, bins).

    Raises:
        ValueError: the clips hold no frame.
    """

    def __init__(self, clips: Sequence[UnitFrames], envelopes: Sequence[F32]):
        if not sum(len(clip.hidden) for clip in clips):
            raise ValueError("there are no frames to select from")
        together = torch.from_numpy(np.concatenate([clip.hidden for clip in clips]))
        self._mean, self._square = together.mean(0), together.square().mean(0)
        self._keys = torch.cat([self._key(clip.hidden) for clip in clips])
        number = torch.from_numpy(np.repeat(np.arange(len(clips)), [len(clip.hidden) for clip in clips]))
        self._last = torch.cat([number[1:] != number[:-1], torch.tensor([True])])
        envelope = np.concatenate(list(envelopes))
        scaled = (envelope - envelope.mean(0)) / (envelope.std(0) + 0.1)
        bins = np.linspace(0, envelope.shape[1] - 1, JOIN_BINS).round().astype(int)
        self._join = torch.from_numpy(np.ascontiguousarray(scaled[:, bins], np.float32))
        f0 = np.concatenate([clip.f0 for clip in clips])
        self._voiced = torch.from_numpy(f0 > 0)
        octave = np.log2(np.maximum(f0, 1.0)).astype(np.float32)
        self._median = float(np.median(octave[f0 > 0])) if (f0 > 0).any() else np.log2(200.0)
        self._octave = torch.from_numpy(octave)
        self._loudness = torch.from_numpy(np.concatenate([clip.loudness for clip in clips]))
        self._levels = loudness_percentiles(self._loudness.numpy())

    def __len__(self) -> int:
        return len(self._keys)

    def search(self, source: UnitFrames, percentiles: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
        """The frame of the target for each frame of a source: int64 (U,), counted over all clips.

        Args:
            source: its f0 is the target f0.
            percentiles: `loudness_percentiles` of the whole song that the source is a part of; of the source itself,
                where left out. Loudness is compared after the song's distribution is mapped to the target's.
        """
        if len(source.hidden) == 0:
            return np.zeros(0, np.int64)
        similarity = self._key(source.hidden) @ self._keys.T
        voiced = torch.from_numpy(source.f0 > 0)
        similarity -= VOICING * (voiced[:, None] != self._voiced)
        octave = np.log2(np.maximum(source.f0, 1.0)).clip(self._median - OCTAVES, self._median + OCTAVES)
        distance = (torch.from_numpy(octave.astype(np.float32))[:, None] - self._octave).abs().clamp(max=1)
        similarity -= PITCH * distance * (voiced[:, None] & self._voiced)
        level = torch.from_numpy(self._mapped(source.loudness, percentiles))
        similarity -= LOUDNESS * ((level[:, None] - self._loudness).abs() / LOUDNESS_STEP).clamp(max=1)
        scores, candidates = similarity.topk(min(CANDIDATES, len(self)))
        return self._best_path(scores, candidates).numpy()

    def _key(self, hidden: F32) -> Tensor:
        return F.normalize(normalise(torch.from_numpy(hidden), self._mean, self._square), dim=1)

    def _mapped(self, loudness: F32, percentiles: NDArray[np.float64] | None) -> F32:
        own = loudness_percentiles(loudness) if percentiles is None else percentiles
        mapped = np.interp(loudness, own, self._levels)
        low = loudness < own[0]
        mapped[low] = loudness[low] - own[0] + self._levels[0]
        return np.asarray(mapped, np.float32)

    def _best_path(self, scores: Tensor, candidates: Tensor) -> Tensor:
        best, previous = scores[0], []
        scale = self._join.shape[1] ** 0.5
        for before, now, score in zip(candidates[:-1], candidates[1:], scores[1:], strict=True):
            following = (before + 1).clamp(max=len(self) - 1)
            cost = torch.cdist(self._join[following], self._join[now]) / scale + CLIP_END * self._last[before][:, None]
            total, origin = (best[:, None] - JOIN * cost).max(0)
            previous.append(origin)
            best = total + score
        path = [int(best.argmax())]
        for origin in reversed(previous):
            path.append(int(origin[path[-1]]))
        return candidates[torch.arange(len(candidates)), torch.tensor(path[::-1])]


def normalise(frames: Tensor, mean: Tensor, square: Tensor) -> Tensor:
    """Hidden states (U, H) of a clip less their mean, over their standard deviation, which depend on the speaker.

    The statistics of a short clip are drawn towards the target's, as if SHRINKAGE frames had these.

    Args:
        frames: float (U, H).
        mean, square: the means (H,) of the target's frames and of their squares.

    Returns:
        (U, H), of the dtype of `frames`.
    """
    share = len(frames) / (len(frames) + SHRINKAGE)
    mean = torch.lerp(mean, frames.mean(0), share)
    square = torch.lerp(square, frames.square().mean(0), share)
    return (frames - mean) / (square - mean.square()).clamp(min=1e-6).sqrt()


def loudness_percentiles(loudness: F32) -> NDArray[np.float64]:
    """The percentiles 0, 5, ..., 100 of the dBFS (U,) of frames within ACTIVE_DB of the loudest: float64 (21,)."""
    return np.asarray(np.percentile(loudness[loudness >= loudness.max() - ACTIVE_DB], np.arange(0, 101, 5)), np.float64)
