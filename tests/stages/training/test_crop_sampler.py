"""The crops of a step depend on seed and step alone: the same in any order, and on any number of ranks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from svc.stages.training.crop_sampler import Crop, CropSampler

LENGTHS = [40, 1, 300, 100, 1000, 99]


def test_a_step_depends_on_seed_and_step_alone() -> None:
    one, other = CropSampler(LENGTHS, 100, 16, seed=3), CropSampler(LENGTHS, 100, 16, seed=3)
    for step in range(5):
        one.step(step)  # what was drawn before does not matter
    assert one.step(7) == other.step(7)
    seen = [tuple(one.step(step)) for step in range(100)]
    assert len(set(seen)) == 100
    assert CropSampler(LENGTHS, 100, 16, seed=4).step(7) != one.step(7)
    assert CropSampler(LENGTHS, 100, 16, seed=3, stream=1).step(7) != one.step(7)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**40), st.integers(0, 2**64 - 1))
def test_ranks_share_out_the_same_crops(size: int, world: int, step: int, seed: int) -> None:
    draw = CropSampler(LENGTHS, 100, size, seed)
    shares = [draw.step(step, rank, world) for rank in range(world)]
    together: list[Crop] = [shares[number % world][number // world] for number in range(size)]
    assert together == draw.step(step)
    assert sum(map(len, shares)) == size


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.integers(1, 5000), st.integers(0, 1000))
def test_crops_lie_within_their_clips(lengths: list[int], frames: int, step: int) -> None:
    for crop in CropSampler(lengths, frames, 8, seed=0).step(step):
        assert 0 <= crop.start < crop.stop <= lengths[crop.clip]
        assert crop.stop - crop.start == min(frames, lengths[crop.clip])


def test_clips_come_in_proportion_to_length_and_starts_evenly() -> None:
    crops = [crop for step in range(200) for crop in CropSampler(LENGTHS, 100, 100, seed=1).step(step)]
    counts = Counter(crop.clip for crop in crops)
    expected = len(crops) * np.array(LENGTHS) / sum(LENGTHS)
    found = np.array([counts[number] for number in range(len(LENGTHS))])
    assert ((found - expected) ** 2 / expected).sum() < 20.5  # chi squared, 5 degrees of freedom, p = 0.001
    starts = np.array([crop.start for crop in crops if crop.clip == 4])
    assert starts.min() == 0
    assert starts.max() == 900  # the last crop that fits
    counts10 = np.histogram(starts, 10, (0, 901))[0]
    assert ((counts10 - counts10.mean()) ** 2 / counts10.mean()).sum() < 27.9  # 9 degrees of freedom, p = 0.001


def test_the_draw_of_this_version_is_that_of_every_other() -> None:
    """A run that was begun with another numpy, on another machine, goes on with the same data."""
    assert CropSampler(LENGTHS, 100, 4, seed=5).step(11) == GOLDEN


GOLDEN = [Crop(4, 546, 646), Crop(4, 104, 204), Crop(4, 429, 529), Crop(4, 507, 607)]


@pytest.mark.parametrize("lengths", [[], [0], [5, 0]])
def test_nothing_to_draw_from(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one clip"):
        CropSampler(lengths, 100, 4, seed=0)
