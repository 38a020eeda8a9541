"""No vocoder's output has energy below f0 / 2: measured on known shares, and on vocoders' output for true mels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from svc.pipeline.mel import log_mel
from svc.pipeline.vocoder.pulse_noise import PulseNoise
from svc.pipeline.vocoder.rumble import ALLOWED, RumbleLimiter, low_energy
from svc.pipeline.vocoder.source_filter import Shape, SourceFilter, SourceFilterNet
from svc.pipeline.vocoder.vocoder import Vocoder
from svc.pipeline.vocoder.world import World

RATE, HOP = 44_100, 512


def harmonics(f0: np.ndarray, slope: float = 1.3, partials: int = 8) -> np.ndarray:
    """A harmonic tone that follows f0 (T,) in Hz, of peak 0.3."""
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    wav = sum(np.sin(k * phase + k * k) / k**slope * (k * f0 < 16_000) for k in range(1, partials + 1))
    return (0.3 * wav / np.abs(wav).max()).astype(np.float32)


def centres(values: np.ndarray) -> np.ndarray:
    """Values (T,) at mel centres."""
    return values[HOP // 2 :: HOP][: len(values) // HOP].astype(np.float32)


def glide(low: float, high: float, seconds: float) -> np.ndarray:
    return low * (high / low) ** np.linspace(0, 1, int(seconds * RATE))


@pytest.mark.parametrize(("f0", "rumble"), [(220, 20), (220, 0), (880, 300), (110, 30)])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5])
def test_a_known_share_is_measured(f0: int, rumble: int, share: float) -> None:
    hertz = np.full(2 * RATE, float(f0))
    wav = harmonics(hertz)
    low = np.cos(2 * np.pi * rumble * np.arange(len(wav)) / RATE)
    low *= np.sqrt(share / (1 - share) * np.mean(wav**2) / np.mean(low**2))
    found = low_energy((wav + low).astype(np.float32), centres(hertz))[10:-10]
    np.testing.assert_allclose(found, share, rtol=0.05, atol=2e-5)
    assert not low_energy(wav, np.zeros(len(wav) // HOP, np.float32)).any()


def test_context_is_part_of_a_frame() -> None:
    hertz = glide(150, 300, 1.0)
    wav, f0 = harmonics(hertz) + np.float32(0.1), centres(hertz)
    np.testing.assert_allclose(low_energy(wav[20 * HOP : 60 * HOP], f0[30:50], 10 * HOP), low_energy(wav, f0)[30:50])


@pytest.mark.parametrize("cuts", [[], [40], [1, 2, 3, 100, 101]])
def test_a_clean_phrase_stays_to_the_bit_and_rumble_goes(cuts: list[int]) -> None:
    hertz = glide(110, 800, 2.0)[: RATE * 2 // HOP * HOP]
    n = np.arange(len(hertz))
    f0, clean = centres(hertz), harmonics(hertz) * np.clip(np.minimum(n, n[::-1]) / 4_410, 0, 1).astype(np.float32)
    pieces = np.split(clean, [cut * HOP for cut in cuts])
    np.testing.assert_array_equal(np.concatenate(list(RumbleLimiter(f0).stream(pieces))), clean)
    noise = np.random.default_rng(0).standard_normal(len(clean))
    low = 0.2 + 5 * np.convolve(noise, np.hanning(3_000) / 1_500, "same")  # an offset, and noise below 30 Hz
    dirty = (clean + low).astype(np.float32)
    assert low_energy(dirty, f0)[5:-5].min() > 0.05
    limited = list(RumbleLimiter(f0).stream(np.split(dirty, [cut * HOP for cut in cuts])))
    assert all(len(piece) % HOP == 0 for piece in limited)
    whole = np.concatenate(limited)
    assert whole.shape == clean.shape
    assert low_energy(whole, f0)[5:-5].max() < 2 * ALLOWED
    assert np.sqrt(np.mean((whole - clean)[4_096:-4_096] ** 2)) < 0.05 * np.sqrt(np.mean(clean**2))


def test_unvoiced_sound_is_left_alone() -> None:
    noise = np.random.default_rng(0).standard_normal(100 * HOP).astype(np.float32)
    limited = np.concatenate(list(RumbleLimiter(np.zeros(100, np.float32)).stream([noise])))
    np.testing.assert_array_equal(limited, noise)


@pytest.fixture(scope="module", params=["pulse noise", "world", "neural"])
def vocoder(request: pytest.FixtureRequest) -> Vocoder:
    if request.param == "neural":  # untrained: it synthesises from the mel alone
        torch.manual_seed(0)
        return SourceFilter(SourceFilterNet(Shape(64, 3)), {})
    return {"pulse noise": PulseNoise, "world": World}[request.param]()


@pytest.mark.parametrize("key", [0, 12, 24])
@pytest.mark.parametrize("f0", [(220, 220), (330, 330), (880, 880), (110, 1400)])
def test_true_mels_are_sung_without_an_offset_in_any_key(vocoder: Vocoder, f0: tuple[float, float], key: int) -> None:
    """Below f0 / 2 there is less than a thousandth of the energy, and the mean is 0, to -54 dB of the sound."""
    hertz = glide(*f0, 2.0)
    mel, target = log_mel(torch.from_numpy(harmonics(hertz))).numpy(), centres(hertz) * np.float32(2 ** (key / 12))
    wav = vocoder(mel, target[: len(mel)])
    shares = low_energy(wav, target[: len(mel)])[6:-6]
    assert shares.mean() < 1.5 * ALLOWED
    assert abs(wav.mean()) < 2e-3 * np.sqrt(np.mean(wav**2))


@pytest.mark.parametrize("vocoder", [PulseNoise(), World()], ids=["pulse noise", "world"])
def test_a_tone_comes_back_with_its_peak(vocoder: Vocoder) -> None:
    """An 880-Hz tone of peak 0.3 came back at 0.88."""
    hertz = np.full(RATE, 880.0)
    tone = harmonics(hertz)
    wav = vocoder(log_mel(torch.from_numpy(tone)).numpy(), centres(hertz))
    assert 0.15 < np.abs(wav).max() < 0.6
