"""Formants move and the pitch does not: a vowel, and the same vowel from another throat."""

import numpy as np
import pytest
import torch
from svc.pipeline.formants import shift_formants
from svc.pipeline.mel import log_mel

RATE = 44_100


def vowel(f0: float, throat: float) -> np.ndarray:
    """Harmonics of f0 under formants at 700, 1200 and 2600 Hz, times `throat`: ln mel (M, 128)."""
    t = np.arange(RATE) / RATE
    wav = 1e-3 * np.random.default_rng(0).standard_normal(RATE)
    for k in range(1, int(12_000 / f0)):
        formants = sum(1 / (1 + ((k * f0 / throat - f) / w) ** 2) for f, w in ((700, 100), (1200, 120), (2600, 200)))
        wav += 0.05 * (formants + 0.02) * np.sin(2 * np.pi * k * f0 * t + k * k)
    return log_mel(torch.from_numpy(wav.astype(np.float32))).numpy()


@pytest.mark.parametrize("semitones", [3.0, -3.0])
def test_a_shifted_vowel_is_the_vowel_of_another_throat(semitones: float) -> None:
    f0 = 150.0
    mel, truth = vowel(f0, 1.0), vowel(f0, 2 ** (semitones / 12))
    shifted = shift_formants(mel, np.full(len(mel), f0, np.float32), semitones)
    band = slice(0, 80)  # to 4 kHz, where formants are
    before = np.abs(mel - truth)[8:-8, band].mean()
    after = np.abs(shifted - truth)[8:-8, band].mean()
    assert after < 0.45 * before


def test_harmonics_stay_where_they_are() -> None:
    mel = vowel(220.0, 1.0)
    shifted = shift_formants(mel, np.full(len(mel), 220, np.float32), 4.0)
    one, other = (np.diff(m[40, :25]) for m in (mel, shifted))
    assert np.corrcoef(one, other)[0, 1] > 0.9


def test_nothing_asked_nothing_changed() -> None:
    mel = vowel(220.0, 1.0)
    assert shift_formants(mel, np.full(len(mel), 220, np.float32), 0.0) is mel
