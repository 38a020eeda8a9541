"""The crops of a training step: they follow from (seed, step) alone.

They do not depend on earlier draws, so that a resumed run gets the same crops, or on the number of processes that share
a step, so that training is the same on any number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Crop:
    """Frames [start, stop) of a clip, by the clip's number."""

    clip: int
    start: int
    stop: int


class CropSampler:
    """Random crops of clips, clips in proportion to their length; one that is shorter than a crop is taken whole.

    Args:
        lengths: of each clip, in frames, at least 1.
        frames: of a crop.
        size: crops a step, of all processes together.
        seed: 0 to 2**64 - 1.
        stream: another one is another draw of the same seed, such as that for validation.
    """

    def __init__(self, lengths: Sequence[int] | NDArray[Any], frames: int, size: int, seed: int, stream: int = 0):
        self.lengths = np.asarray(lengths, np.uint64)
        if not (len(self.lengths) and self.lengths.min() > 0 and frames > 0 and size > 0):
            raise ValueError("crops are drawn from at least one clip of at least one frame")
        self.ends = np.cumsum(self.lengths)
        self.frames, self.size, self.seed, self.stream = frames, size, seed, stream

    def step(self, step: int, rank: int = 0, world: int = 1) -> list[Crop]:
        """The share of process `rank` of `world` in a step: all shares together are the same crops for any `world`."""
        # Philox (Salmon et al. 2011) is counter-based: each step has its own counters, so earlier steps need not be
        # drawn. Its raw words are the same in every version of numpy; remainders of 2**64 are even enough.
        philox = np.random.Philox(key=self.seed + (self.stream << 64), counter=step << 64)
        where, offset = philox.random_raw(2 * self.size).reshape(2, self.size)[:, rank::world]
        clips = np.searchsorted(self.ends, where % self.ends[-1], side="right")
        lengths = self.lengths[clips]
        room = np.maximum(lengths, np.uint64(self.frames)) - np.uint64(self.frames)
        starts = offset % (room + np.uint64(1))
        stops = np.minimum(starts + np.uint64(self.frames), lengths)
        return [Crop(*row) for row in zip(clips.tolist(), starts.tolist(), stops.tolist(), strict=True)]
