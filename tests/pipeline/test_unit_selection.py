"""Unit selection, on frames whose right choice is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from svc.pipeline.unit_selection import SHRINKAGE, UnitFrames, UnitSelection, loudness_percentiles, normalise

WIDTH, BINS = 24, 40


def clip(seed: int, units: int = 200, f0: float = 220.0) -> UnitFrames:
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(units, WIDTH)).astype(np.float32)
    loudness = rng.uniform(-40, -15, units).astype(np.float32)
    return UnitFrames(hidden, np.full(units, f0, np.float32), loudness)


def envelope(seed: int, units: int = 200) -> np.ndarray:
    return np.random.default_rng(seed + 100).normal(size=(units, BINS)).astype(np.float32)


def test_a_clip_selects_itself() -> None:
    clips = [clip(0), clip(1)]
    selection = UnitSelection(clips, [envelope(0), envelope(1)])
    assert len(selection) == 400
    np.testing.assert_array_equal(selection.search(clips[1]), np.arange(200, 400))


def test_the_speaker_s_mean_and_scale_change_nothing() -> None:
    """The source is the clip with the hidden states of another speaker."""
    one = clip(0, 600)
    selection = UnitSelection([one], [envelope(0, 600)])
    other = UnitFrames(3 * one.hidden + 5, one.f0, one.loudness - 10)
    assert (selection.search(other) == np.arange(600)).mean() > 0.99


def test_f0_decides_between_equal_frames() -> None:
    """The clip exists twice, an octave apart; the second is chosen if its f0 is the target."""
    low, high = clip(0, f0=180.0), clip(0, f0=360.0)
    selection = UnitSelection([low, high], [envelope(0), envelope(0)])
    assert (selection.search(low) < 200).all()
    assert (selection.search(high) >= 200).all()


def test_the_path_follows_a_recording_where_candidates_are_equal() -> None:
    """Each frame exists three times; only the path through one copy joins without a step."""
    one = clip(0)
    selection = UnitSelection([one, one, one], [envelope(0), envelope(1), envelope(2)])
    path = selection.search(one)
    np.testing.assert_array_equal(np.diff(path), 1)


def test_a_quiet_song_is_compared_by_its_own_distribution() -> None:
    """Two copies differ only in loudness; for a song 20 dB softer, selection still follows the rank."""
    soft, loud = clip(0), clip(0)
    soft = UnitFrames(soft.hidden, soft.f0, np.full(200, -35, np.float32))
    loud = UnitFrames(loud.hidden, loud.f0, np.full(200, -15, np.float32))
    selection = UnitSelection([soft, loud], [envelope(0), envelope(0)])
    song = np.repeat(np.array([-55.0, -35.0], np.float32), 500)  # as many soft frames as loud ones
    asked = UnitFrames(soft.hidden, soft.f0, np.full(200, -35, np.float32))  # the song's loud half
    assert (selection.search(asked, loudness_percentiles(song)) >= 200).all()


def test_nothing_is_selected_for_nothing_and_from_nothing() -> None:
    one = clip(0)
    empty = UnitFrames(one.hidden[:0], one.f0[:0], one.loudness[:0])
    assert UnitSelection([one], [envelope(0)]).search(empty).shape == (0,)
    with pytest.raises(ValueError, match="no frames"):
        UnitSelection([empty], [envelope(0)[:0]])


def test_normalise_is_the_closed_form() -> None:
    """As if SHRINKAGE frames with the target's statistics were added to the clip's."""
    hidden = clip(3, 150).hidden * 2 + 1
    mean, deviation = np.full(WIDTH, 0.5, np.float32), np.full(WIDTH, 2.0, np.float32)
    pairs = np.concatenate([mean + deviation, mean - deviation]).reshape(2, WIDTH)  # mean and deviation as asked
    together = np.concatenate([hidden, *([pairs] * (SHRINKAGE // 2))])
    expected = (hidden - together.mean(0)) / together.std(0)
    target = torch.from_numpy(mean), torch.from_numpy(deviation**2 + mean**2)
    np.testing.assert_allclose(normalise(torch.from_numpy(hidden), *target), expected, rtol=1e-3, atol=1e-4)


def test_unvoiced_and_short_clips() -> None:
    one = clip(0, 5, f0=0.0)
    assert UnitSelection([one], [envelope(0, 5)]).search(clip(1, 3, f0=0.0)).shape == (3,)
