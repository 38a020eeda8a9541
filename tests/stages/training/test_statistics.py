"""The scales of mels and units are those of all speakers, not of the first one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from svc.stages.training.statistics import MEL_CLIPS, UNIT_CLIPS, mel_statistics, spread, unit_statistics
from torch import nn


@dataclass(frozen=True)
class FakeClip:
    """What the statistics read of a clip: a constant mel and constant hidden states."""

    speaker: str
    number: int
    value: float

    @property
    def mel(self) -> NDArray[np.float16]:
        return np.full((3, 128), self.value, np.float16)

    def read(self, column: str) -> NDArray[np.float16]:
        return np.full((2, 8), self.value, np.float16)


def corpus(**speakers: tuple[int, float]) -> list[Any]:
    """So many clips of each speaker with a value, one speaker after the other, as a store has them."""
    return [FakeClip(name, number, value) for name, (count, value) in speakers.items() for number in range(count)]


def test_two_unlike_speakers_count_alike() -> None:
    """With the first 400 clips alone, the mean would be -10 and the deviation the least there is."""
    mean, scale = mel_statistics(corpus(low=(1_000, -10.0), high=(1_000, 0.0)))
    assert mean.shape == scale.shape == (128,)
    torch.testing.assert_close(mean, torch.full((128,), -5.0))
    torch.testing.assert_close(scale, torch.full((128,), 5.0))
    mean, scale = unit_statistics(corpus(low=(1_000, -3.0), high=(1_000, 5.0)), "hidden/4", nn.Identity())
    assert mean.shape == scale.shape == (8,)
    torch.testing.assert_close(mean, torch.ones(8))
    torch.testing.assert_close(scale, torch.full((8,), 4.0), rtol=1e-2, atol=0)


@pytest.mark.parametrize("most", [MEL_CLIPS, UNIT_CLIPS])
def test_clips_are_spread_over_speakers_and_within_each(most: int) -> None:
    clips = corpus(few=(10, 0.0), many=(5_000, 1.0), some=(700, 2.0))
    chosen = spread(clips, most)
    shares = Counter(clip.speaker for clip in chosen)
    assert shares["few"] == 10
    assert shares["many"] == shares["some"] == (most - 10) // 2
    assert chosen == sorted(chosen, key=clips.index)
    own = [cast(FakeClip, clip).number for clip in chosen if clip.speaker == "many"]
    assert own[0] < 50
    assert own[-1] > 4_900


def test_few_clips_are_all_taken_and_many_speakers_one_each() -> None:
    clips = corpus(a=(3, 0.0), b=(2, 1.0))
    assert spread(clips, 5) == clips
    many = corpus(**{f"s{number}": (4, 0.0) for number in range(50)})
    assert Counter(clip.speaker for clip in spread(many, 10)) == {f"s{number}": 1 for number in range(50)}
