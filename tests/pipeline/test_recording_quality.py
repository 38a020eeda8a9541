"""Each measure on recordings with a known value."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from svc.pipeline import recording_quality as quality

RATE = 44_100


def voice(hertz: float, seconds: float) -> NDArray[np.float32]:
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(0.2 * sum(np.sin(2 * np.pi * hertz * k * t + k) / k for k in range(1, 12)), np.float32)


def test_clipped_samples_are_counted() -> None:
    wav = voice(220, 2)
    level = float(np.quantile(np.abs(wav), 0.97))
    clipped = np.clip(wav, -level, level)
    assert quality.clipped_share(clipped) == pytest.approx(0.03, abs=0.01)
    assert quality.clipped_share(0.3 * clipped) == pytest.approx(0.03, abs=0.01)  # turned down afterwards
    assert quality.clipped_share(wav) < 1e-5
    assert quality.clipped_share(np.zeros(100, np.float32)) == 0


@pytest.mark.parametrize("seconds", [0.4, 1.0, 2.0])
def test_a_known_decay(seconds: float) -> None:
    rate = RATE / 512
    one = np.r_[np.full(40, -20.0), -20 - 60 / seconds * np.arange(60) / rate]
    loudness = np.tile(one, 5).astype(np.float32)
    f0 = np.tile(np.r_[np.full(40, 220.0), np.zeros(60)], 5).astype(np.float32)
    assert quality.reverberation_seconds(loudness, f0, rate) == pytest.approx(seconds, rel=0.02)
    assert quality.reverberation_seconds(loudness[:100], f0[:100], rate) is None


@pytest.mark.parametrize("hertz", [110.0, 220.0, 440.0])
def test_one_voice_is_harmonic_and_two_are_not(hertz: float) -> None:
    one, other = voice(hertz, 0.1), voice(hertz * 2 ** (3.5 / 12), 0.1)
    assert quality.harmonic_share(one, RATE, hertz) > 0.95
    if hertz > 200:  # below, the multiples are so close that much of another voice lies on them
        assert quality.harmonic_share(one + other, RATE, hertz) < 0.8


def test_copies_are_alike_at_any_level_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    mel = np.cumsum(rng.normal(0, 0.3, (300, 128)), 0) - 4
    other = np.cumsum(rng.normal(0, 0.3, (300, 128)), 0) - 4
    a, b, c = (quality.fingerprint(values) for values in (mel, mel - 1 + rng.normal(0, 0.1, mel.shape), other))
    assert a @ b > 0.98
    assert a @ c < 0.7
