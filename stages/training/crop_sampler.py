"""Which crops a step of training sees: it follows from (seed, step) alone.

Not from what was drawn before, so that a run that goes on sees what it would have seen; nor from how many processes
share a step, so that it learns the same on any number of them.
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
        """What process `rank` of `world` takes of a step: its share of the same crops, whatever `world` is."""
        # Philox (Salmon et al. 2011) counts: each step has counters of its own, and no step has to be drawn through to
        # reach another. Its raw words are the same in every version of numpy; remainders of 2**64 are even enough.
        philox = np.random.Philox(key=self.seed + (self.stream << 64), counter=step << 64)
        where, offset = philox.random_raw(2 * self.size).reshape(2, self.size)[:, rank::world]
        clips = np.searchsorted(self.ends, where % self.ends[-1], side="right")
        lengths = self.lengths[clips]
        room = np.maximum(lengths, np.uint64(self.frames)) - np.uint64(self.frames)
        starts = offset % (room + np.uint64(1))
        stops = np.minimum(starts + np.uint64(self.frames), lengths)
        return [Crop(*row) for row in zip(clips.tolist(), starts.tolist(), stops.tolist(), strict=True)]
