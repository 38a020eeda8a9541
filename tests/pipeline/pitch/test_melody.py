"""Keys, ranges, octaves and smoothing, on melodies with known results."""

import numpy as np
import pytest
from svc.pipeline.pitch.melody import (
    Range,
    choose_key,
    fix_octaves,
    range_violation,
    semitones,
    smoothed,
    transposed,
    with_high_notes,
)

FRAMES = 44_100 / 512


def notes(*pitches: float, seconds: float = 1.0) -> np.ndarray:
    """MIDI notes one after another, a short silence after each."""
    each = [
        np.append(np.full(round(seconds * FRAMES), 440 * 2 ** ((pitch - 69) / 12)), np.zeros(8)) for pitch in pitches
    ]
    return np.concatenate(each).astype(np.float32)


def voice(low: float, middle: float, high: float) -> Range:
    return Range(*(440 * 2 ** ((pitch - 69) / 12) for pitch in (low, middle, high)))


SONG = notes(60, 62, 64, 65, 67, 69, 71, 72)


@pytest.mark.parametrize(
    ("target", "key", "octave"),
    [
        (voice(57, 66, 76), 0, 0),  # within reach as it is
        (voice(58, 64, 70), 0, 0),  # two notes a little high: not worth another key
        (voice(45, 54, 64), -12, -12),  # an octave lower fits whole
        (voice(69, 78, 88), 12, 12),
        (voice(54, 60, 66), -6, -12),  # no octave fits, so the middle of the voice
        (voice(33, 42, 52), -24, -24),
    ],
)
def test_the_key_is_what_a_singer_would_take(target: Range, key: int, octave: int) -> None:
    assert choose_key(SONG, target, any_key=True) == key
    assert choose_key(SONG, target) == octave


def test_a_song_without_notes_keeps_its_key() -> None:
    assert choose_key(np.zeros(100, np.float32), voice(50, 60, 70)) == 0


def test_transposing_moves_by_semitones_and_leaves_silence() -> None:
    up = transposed(SONG, 7)
    voiced = SONG > 0
    np.testing.assert_allclose(semitones(up[voiced]) - semitones(SONG[voiced]), 7, atol=1e-4)
    assert not up[~voiced].any()


def test_strain_names_where_and_how_far() -> None:
    found = range_violation(notes(60, 60, 75, 60, 45), voice(55, 60, 65))
    assert found is not None
    assert found.share == pytest.approx(2 / 5, abs=0.01)
    assert found.highest == pytest.approx(8, abs=0.01)
    assert found.lowest == pytest.approx(-8, abs=0.01)
    (high, high_end), (low, _) = found.spots
    assert high == pytest.approx(2 * 94 / FRAMES, abs=0.02)
    assert high_end - high == pytest.approx(1, abs=0.03)
    assert low == pytest.approx(4 * 94 / FRAMES, abs=0.02)
    assert range_violation(notes(60, 64), voice(55, 60, 65)) is None
    assert range_violation(notes(75, seconds=0.05), voice(55, 60, 65)) is None


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_an_octave_slip_is_mended(factor: float) -> None:
    f0 = notes(60, seconds=2.0)
    slipped = f0.copy()
    slipped[60:80] *= factor
    slipped[120:123] *= factor
    np.testing.assert_allclose(fix_octaves(slipped), f0, rtol=1e-5)


def test_a_sung_octave_stays() -> None:
    f0 = notes(60, 72, 60, seconds=1.0)
    np.testing.assert_array_equal(fix_octaves(f0), f0)
    glide = (220 * 2 ** np.clip(np.arange(200) / 60 - 1, 0, 1)).astype(np.float32)
    np.testing.assert_array_equal(fix_octaves(glide), glide)


def test_smoothing_flattens_what_is_fast_and_leaves_notes() -> None:
    at = np.arange(300) / FRAMES
    flat = np.full(300, 220.0, np.float32)
    trembling = (220 * 2 ** (np.sin(2 * np.pi * 8 * at) / 12)).astype(np.float32)
    trembling[150:160] = flat[150:160] = 0
    soft = smoothed(trembling, 150)
    voiced = flat > 0
    np.testing.assert_array_equal(soft > 0, voiced)
    assert (
        np.abs(semitones(soft[voiced]) - semitones(220.0)).mean()
        < 0.4 * np.abs(semitones(trembling[voiced]) - semitones(220.0)).mean()
    )
    np.testing.assert_allclose(smoothed(flat, 150), flat, rtol=1e-5)
    np.testing.assert_array_equal(smoothed(trembling, 0), trembling)


def test_high_notes_are_added_and_brief_ones_are_errors() -> None:
    f0, wide = notes(60, 72, 60), notes(60, 84, 60) * np.float32(1.01)
    wide[[10, 11, 12]] = 1500
    found = with_high_notes(f0, wide, 1000.0)
    high = wide > 1000
    high[10:13] = False
    assert 0 < high.sum() < len(f0) / 2
    np.testing.assert_array_equal(found, np.where(high, wide, f0))
    np.testing.assert_array_equal(with_high_notes(f0, f0, 1000.0), f0)
