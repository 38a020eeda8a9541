"""The log mel and the loudness against a golden case and a spectrogram written out in loops."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from svc.pipeline.mel import filterbank, log_mel, loudness

RATE, HOP, N_FFT, BINS = 44_100, 512, 2048, 128
Array = NDArray[np.float64]


def slaney_to_hertz(mel: float) -> float:
    """Slaney's scale: 3 mel per 200 Hz up to 1 kHz, then 27 mel per factor 6.4."""
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def hertz_to_slaney(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000) / math.log(6.4)


def reference_filters() -> Array:
    low, high = hertz_to_slaney(40), hertz_to_slaney(16_000)
    corners = [slaney_to_hertz(low + (high - low) * i / (BINS + 1)) for i in range(BINS + 2)]
    filters = np.zeros((N_FFT // 2 + 1, BINS))
    for band in range(BINS):
        left, middle, right = corners[band : band + 3]
        for k in range(N_FFT // 2 + 1):
            hertz = k * RATE / N_FFT
            height = min((hertz - left) / (middle - left), (right - hertz) / (right - middle))
            filters[k, band] = max(0.0, height) * 2 / (right - left)
    return filters


def reference_log_mel(wav: Array) -> Array:
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / N_FFT) for n in range(N_FFT)]
    filters, pad = reference_filters(), (N_FFT - HOP) // 2
    padded = np.concatenate([wav[pad:0:-1], wav, wav[-2 : -pad - 2 : -1]])
    rows = []
    for m in range(len(wav) // HOP):
        magnitude = np.abs(np.fft.rfft(padded[m * HOP : m * HOP + N_FFT] * window))
        rows.append(np.log(np.maximum(magnitude @ filters, 1e-5)))
    return np.array(rows)


def noise(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, count)


def test_log_mel_is_the_vocoders_own(shared: Path) -> None:
    with np.load(shared / "fixtures" / "mel_44k" / "case.npz") as case:
        wav, golden = case["wav"], case["log_mel"].T
    got = log_mel(torch.from_numpy(wav)).numpy()
    assert got.shape == golden.shape == (len(wav) // HOP, BINS)
    np.testing.assert_allclose(got, golden, atol=2e-4)


def test_filterbank_is_slaneys() -> None:
    np.testing.assert_allclose(filterbank().numpy(), reference_filters(), atol=2e-7)


@pytest.mark.parametrize("count", [769, 1023, 1024, 5000, 20_000])
def test_log_mel_equals_a_spectrogram_in_loops(count: int) -> None:
    wav = noise(count) * np.linspace(0.01, 1, count)
    got = log_mel(torch.from_numpy(wav).float()).numpy()
    truth = reference_log_mel(wav)
    assert got.shape == truth.shape == (count // HOP, BINS)
    np.testing.assert_allclose(got, truth, atol=2e-4)


def test_silence_is_the_log_of_the_floor() -> None:
    got = log_mel(torch.zeros(10_000))
    assert torch.all(got == math.log(1e-5)) or torch.allclose(got, torch.tensor(math.log(1e-5)), atol=1e-6)


def test_frame_m_is_centred_half_a_hop_late() -> None:
    """A click's energy is symmetric about the frame whose centre it sits on: (m + 0.5) * 512."""
    wav = torch.zeros(40 * HOP)
    wav[20 * HOP + HOP // 2] = 1.0
    total = log_mel(wav).exp().sum(1)
    assert int(total.argmax()) == 20
    torch.testing.assert_close(total[19], total[21], rtol=1e-3, atol=0)


def test_loudness_of_a_full_scale_sine_is_minus_three_decibels() -> None:
    """Whole periods in a window: the mean square is one half in every inner frame, -3.0103 dB."""
    sine = torch.sin(2 * math.pi * 20 * torch.arange(60 * HOP, dtype=torch.float64) / N_FFT).float()
    np.testing.assert_allclose(loudness(sine).numpy()[2:-2], 10 * math.log10(0.5), atol=1e-3)


@pytest.mark.parametrize("count", [769, 1024, 20_000])
def test_loudness_is_the_windows_rms(count: int) -> None:
    wav = noise(count, 1)
    padded = np.pad(wav, (N_FFT - HOP) // 2, mode="reflect")
    truth = [10 * math.log10(np.mean(padded[m * HOP : m * HOP + N_FFT] ** 2)) for m in range(count // HOP)]
    np.testing.assert_allclose(loudness(torch.from_numpy(wav).float()).numpy(), truth, atol=1e-3)


def test_loudness_of_silence_is_the_floor() -> None:
    np.testing.assert_allclose(loudness(torch.zeros(5000)).numpy(), -100.0, atol=1e-4)


@pytest.mark.parametrize("semitones", [-12, -3, 4, 12])
def test_a_shifted_mel_is_that_of_tones_so_much_higher(semitones: int) -> None:
    """Of a chord whose frequencies were multiplied before; loudness and time stay."""
    time = torch.arange(30_000) / RATE
    envelope = 0.2 + 0.1 * torch.sin(2 * torch.pi * 3 * time)

    def chord(ratio: float) -> torch.Tensor:
        tones = [torch.sin(2 * torch.pi * hertz * ratio * time) for hertz in (300.0, 700.0, 2_900.0)]
        return envelope * torch.stack(tones).sum(0)

    shifted = log_mel(chord(1.0), semitones)[4:-4]
    truth = log_mel(chord(2 ** (semitones / 12)))[4:-4]
    assert shifted.shape == truth.shape
    loud = truth > truth.amax(1, keepdim=True) - 2  # the peaks: their skirts are as wide as the window is short
    assert (shifted - truth)[loud].abs().mean() < 0.15
    assert (shifted.argmax(1) - truth.argmax(1)).abs().max() <= 1
