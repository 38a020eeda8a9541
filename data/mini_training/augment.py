"""Augmentation: another speed, and the effect of a microphone, a room or a telephone, drawn anew for each crop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .corpus import RATE, Samples

KNOTS = np.log([60, 200, 500, 1000, 2000, 3500, 5500, 8000])
TAIL = RATE // 2


def faster(wav: Samples, speed: float) -> Samples:
    """A clip (T,) played `speed` times as fast, pitch and formants with it: float32 (T / speed,)."""
    count = int(len(wav) / speed)
    return np.asarray(np.interp(np.arange(count) * speed, np.arange(len(wav)), wav), np.float32)


def spoilt(wav: Samples, generator: np.random.Generator) -> Samples:
    """A clip (T,) at 16 kHz with a drawn filter, and by chance a narrow band, a room, noise, clipping: float32 (T,)."""
    size = len(wav) + TAIL
    spectrum = np.fft.rfft(wav, size)
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    if generator.random() < 0.7:
        decibels = generator.normal(0, generator.uniform(0, 5), len(KNOTS))
        spectrum *= 10 ** (np.interp(np.log(hertz + 1), KNOTS, decibels) / 20)
    chance = generator.random()
    if chance < 0.12:  # a telephone's band, or some codec's
        spectrum[hertz > generator.uniform(3000, 6500)] *= 0.003
    if chance < 0.05:
        spectrum[hertz < generator.uniform(100, 350)] *= 0.03
    if generator.random() < 0.35:
        fall = np.exp(-np.arange(TAIL) / RATE * 6.9 / generator.uniform(0.1, 0.7))
        room = generator.standard_normal(TAIL) * fall
        room *= generator.uniform(0.05, 0.6) / np.sqrt(np.sum(room**2))
        room[0] = 1.0
        spectrum *= np.fft.rfft(room, size)
    out = np.fft.irfft(spectrum, size)[: len(wav)]
    if generator.random() < 0.55:
        out = out + noise(len(out), generator) * 10 ** (-generator.uniform(8, 45) / 20) * (np.std(out) + 1e-9)
    if generator.random() < 0.05:
        limit = np.quantile(np.abs(out), generator.uniform(0.97, 0.999))
        out = np.clip(out, -limit, limit)
    return np.asarray(out, np.float32)


def noise(count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Steady noise (count,) of a drawn colour between white and pink (in amplitude), of RMS 1."""
    colour = np.fft.rfft(generator.standard_normal(count))
    colour *= np.maximum(np.fft.rfftfreq(count, 1 / RATE), 30.0) ** -generator.uniform(0, 1)
    made = np.fft.irfft(colour, count)
    return np.asarray(made / (np.std(made) + 1e-9))
