"""Peaks are attenuated locally; the rest of the song keeps its level."""

import numpy as np
import pytest
from svc.stages.rendering.limiter import CEILING, LimiterGain

RATE = 44_100


def song(level: float = 0.2, seconds: float = 5.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 220 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)[:, None]


def limited(wav: np.ndarray, piece: int = 100_003) -> tuple[LimiterGain, np.ndarray]:
    pieces = np.split(wav, range(piece, len(wav), piece))
    gain = LimiterGain.of(pieces, RATE)
    return gain, np.concatenate(list(gain.apply(pieces)))


def test_one_loud_note_leaves_the_others_alone() -> None:
    """It was once 24.9 dB: one note at +24 dB attenuated the whole song to -40 dB."""
    wav = song()
    note = slice(2 * RATE, int(2.5 * RATE))
    wav[note] *= 17.5
    gain, out = limited(wav)
    assert np.abs(out).max() <= CEILING + 1e-6
    assert np.abs(out[note]).max() > 0.95
    far = np.r_[0 : int(1.93 * RATE), int(2.57 * RATE) : len(wav)]
    np.testing.assert_array_equal(out[far], wav[far])
    assert gain.most_db == pytest.approx(20 * np.log10(3.5 / CEILING), abs=0.1)
    assert [pytest.approx(spot, abs=0.05) for spot in gain.spots()] == [(1.97, 2.53)]


@pytest.mark.parametrize("piece", [1, 127, 128, 5_000])
def test_how_the_song_is_divided_changes_nothing(piece: int) -> None:
    wav = song(seconds=0.2)
    wav[4_000:4_100] *= 8
    np.testing.assert_array_equal(limited(wav, piece)[1], limited(wav)[1])


def test_any_peaks_are_kept_below_the_ceiling_without_a_click() -> None:
    generator = np.random.default_rng(0)
    wav = (generator.standard_normal((RATE, 2)) * generator.exponential(1.0, (RATE, 1))).astype(np.float32)
    gain, out = limited(wav)
    assert np.abs(out).max() <= CEILING + 1e-6
    assert np.abs(np.diff(gain.gain)).max() < 0.15
    assert gain.gain.max() <= 1


def test_what_fits_stays_to_the_bit() -> None:
    wav = song(0.9)
    gain, out = limited(wav)
    np.testing.assert_array_equal(out, wav)
    assert (gain.most_db, gain.spots()) == (0.0, [])
    assert LimiterGain.of([], RATE).most_db == 0.0
