"""Formants move and the pitch does not: a vowel, and the same vowel with another vocal tract."""

import numpy as np
import pytest
import torch
from svc.pipeline.formant_shift import shift_formants, shift_formants_of_audio
from svc.pipeline.mel import log_mel

RATE = 44_100


def sound(f0: float, throat: float, rate: int = RATE) -> np.ndarray:
    """A second of harmonics of f0 under formants at 700, 1200 and 2600 Hz, times `throat`: float32 (rate,)."""
    t = np.arange(rate) / rate
    wav = 1e-3 * np.random.default_rng(0).standard_normal(rate)
    for k in range(1, int(min(12_000, rate / 2) / f0)):
        formants = sum(1 / (1 + ((k * f0 / throat - f) / w) ** 2) for f, w in ((700, 100), (1200, 120), (2600, 200)))
        wav += 0.05 * (formants + 0.02) * np.sin(2 * np.pi * k * f0 * t + k * k)
    return wav.astype(np.float32)


def vowel(f0: float, throat: float) -> np.ndarray:
    """The same as ln mel (M, 128)."""
    return log_mel(torch.from_numpy(sound(f0, throat))).numpy()


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


@pytest.mark.parametrize("semitones", [3.0, -3.0])
@pytest.mark.parametrize("f0", [110.0, 330.0])
def test_sound_is_that_of_another_throat_at_the_same_pitch(semitones: float, f0: float) -> None:
    rate = 16_000
    ratio = 2 ** (semitones / 12)
    wav, truth = (torch.from_numpy(sound(f0, throat, rate)) for throat in (1.0, ratio))
    moved = shift_formants_of_audio(wav, rate, semitones)
    assert moved.shape == wav.shape
    assert moved.square().mean() == pytest.approx(float(wav.square().mean()), rel=1e-4)
    spectra = [torch.fft.rfft(each[2_000:14_000] * torch.hann_window(12_000)).abs() for each in (wav, moved, truth)]
    harmonics = [round(k * f0 * 12_000 / rate) for k in range(1, int(3_500 / f0))]
    levels = [torch.stack([spectrum[h - 3 : h + 4].max().log() for h in harmonics]) for spectrum in spectra]
    before, after = ((level - levels[2] - (level - levels[2]).mean()).abs().mean() for level in levels[:2])
    assert after < 0.5 * before
    for spectrum in spectra:  # harmonics are where they were
        assert all(abs(int(spectrum[h - 15 : h + 16].argmax()) - 15) <= 1 for h in harmonics[:5])


def test_sound_that_is_short_or_silent_stays_so() -> None:
    assert shift_formants_of_audio(torch.zeros(3_000), 16_000, 4.0).abs().max() == 0
    assert torch.isfinite(shift_formants_of_audio(torch.randn(400), 16_000, -4.0)).all()
