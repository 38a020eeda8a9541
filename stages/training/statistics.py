"""The scales of mels and units, over all speakers evenly."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ...store import Clip
from .columns import frames

MEL_CLIPS = 400  # clips for the mel's scale, at most
UNIT_CLIPS = 200  # clips for the units' scale, at most


def spread(clips: Sequence[Clip], most: int) -> list[Clip]:
    """At most `most` clips (but one of each speaker at least), spread evenly over the speakers and over each one's.

    All of them, where there are no more than that. The order is kept.
    """
    if len(clips) <= most:
        return list(clips)
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, clip in enumerate(clips):
        numbers[clip.speaker].append(number)
    chosen: list[int] = []
    left = max(most, len(numbers))
    # Speakers with few clips first: the others share the rest.
    for waiting, own in enumerate(sorted(numbers.values(), key=len)):
        share = max(1, left // (len(numbers) - waiting))
        step = max(1.0, len(own) / share)
        taken = [own[math.floor(place * step)] for place in range(min(share, len(own)))]
        chosen += taken
        left -= len(taken)
    return [clips[number] for number in sorted(chosen)]


def mel_statistics(clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each mel bin in ln magnitude: float32 (bins,) each."""
    mels = np.concatenate([clip.mel for clip in spread(clips, MEL_CLIPS)]).astype(np.float32)
    return torch.from_numpy(mels.mean(0)), torch.from_numpy(mels.std(0)).clamp(min=0.1)


def unit_statistics(clips: Sequence[Clip], column: str, projection: nn.Module) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each unit dimension: float32 (unit_dim,) each."""
    units = projection(frames(spread(clips, UNIT_CLIPS), column, "cpu"))
    return units.mean(0), units.std(0).clamp(min=1e-3)
