"""The harmonic singer has the f0, times and formants that it claims."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from svc.data.singers.harmonic import VOICES, Note, Voice, practice, sing, smooth_steps
from svc.pipeline.frames import MEL_RATE


def test_the_f0_told_is_the_f0_sung() -> None:
    """A steady note's spectrum has its peaks at multiples of it."""
    steady = Voice("steady", 1.0, -6.0, 5.0, 0.0, 40, 70)
    wav, f0 = sing([Note(57, 2.0)], steady, 0)  # A3
    np.testing.assert_allclose(f0[MEL_RATE // 2 : -MEL_RATE // 2], 220.0, rtol=1e-9)
    second = wav[MEL_RATE // 2 : MEL_RATE // 2 + MEL_RATE].astype(float)  # a bin a hertz
    power = np.abs(np.fft.rfft(second * np.hanning(len(second)))) ** 2
    around = power[110:1210].reshape(5, 220)  # the multiples in the middle of a row each
    assert around.argmax(1).tolist() == [110] * 5
    assert (around[:, 106:115].sum(1) > 0.99 * around.sum(1)).all()


@pytest.mark.parametrize(("outside", "mode"), [(None, "nearest"), (0.0, "constant")])
def test_steps_are_smoothed_as_scipy_smooths_them(outside: float | None, mode: str) -> None:
    """Also for steps closer than the Gaussian's width, and for a Gaussian wider than the track."""
    rng = np.random.default_rng(0)
    track = np.repeat(rng.integers(40, 70, 12), rng.integers(1, 900, 12)).astype(float)
    for sigma in (1.0, 60.5, 529.2, len(track) / 2):
        truth = gaussian_filter1d(track, sigma, mode=mode, truncate=3)
        np.testing.assert_allclose(smooth_steps(track, sigma, outside), truth, rtol=0, atol=1e-11)


def test_silence_is_silent_and_has_no_f0() -> None:
    wav, f0 = sing([Note(None, 0.5), Note(60, 0.5), Note(None, 0.5)], VOICES[0], 0)
    assert (len(wav), len(f0)) == (1.5 * MEL_RATE, 1.5 * MEL_RATE)
    edge = MEL_RATE * 4 // 10
    assert not f0[:edge].any()
    assert np.abs(wav[:edge]).max() == 0
    assert np.abs(wav).max() == 0.5


def test_two_voices_sing_a_score_in_parallel_and_the_same_again() -> None:
    """Their f0 differs only by their vibrato, 45 and 30 cents at most."""
    score = practice(VOICES[0], 3.0, 1)
    (alto, first), (bass, second) = (sing(score, voice, 7) for voice in VOICES)
    assert ((first > 0) == (second > 0)).all()
    voiced = first > 0
    assert np.abs(1200 * np.log2(first[voiced] / second[voiced])).max() <= 75
    assert not np.allclose(alto, bass, atol=0.05)
    np.testing.assert_array_equal(alto, sing(score, VOICES[0], 7)[0])
