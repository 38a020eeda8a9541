"""The excitation of a voice: pulses whose phase follows f0, and noise, both by frame number.

Phases are accumulated over a region once, in double precision, so that a piece in the middle has its phase and long
songs do not drift. Noise follows from the frame number, so that pieces join without a difference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..frames import MEL_HOP, MEL_RATE

Frames = NDArray[np.float32]

NOISE_BLOCK = 256  # mel frames


def at_frame_starts(f0: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """f0 at mel centres (M,) -> Hz at each frame's start and at its end, float64 (M,), 0 where the frame is unvoiced.

    Half-way between two voiced centres in log f0; beside an unvoiced frame the voiced frame's value is held.
    """
    here = np.asarray(f0, np.float64)
    before, after = np.append(here[:1], here[:-1]), np.append(here[1:], here[-1:])
    start = np.where(before > 0, np.sqrt(before * here), here)
    end = np.where(after > 0, np.sqrt(after * here), here)
    return start, end


def phase_at_starts(cycles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cycles that each frame turns, (M,) -> the phase at each frame's start, in cycles within 0..1: float64 (M,)."""
    return np.append(0.0, np.cumsum(cycles % 1.0)[:-1]) % 1.0 if len(cycles) else np.zeros(0)


def noise(seed: int, start: int, stop: int, rows: int = 1) -> NDArray[np.float32]:
    """White noise of variance 1 for frames [start, stop) of a region: float32 (rows, (stop - start) * 512)."""
    first = start // NOISE_BLOCK
    blocks = [
        np.random.default_rng([seed, block]).standard_normal((rows, NOISE_BLOCK * MEL_HOP), np.float32)
        for block in range(first, -(-stop // NOISE_BLOCK))
    ]
    whole = np.concatenate([np.zeros((rows, 0), np.float32), *blocks], axis=1)
    return whole[:, (start - first * NOISE_BLOCK) * MEL_HOP : (stop - first * NOISE_BLOCK) * MEL_HOP]


def pulses(
    start_hz: NDArray[np.float64], end_hz: NDArray[np.float64], phase: NDArray[np.float64]
) -> NDArray[np.float32]:
    """A band-limited pulse at every whole cycle, of power 1 and mean 0: float32 (M * 512,); nothing where f0 is 0.

    f0 goes straight from `start_hz` to `end_hz` in each frame, whose first sample is at `phase` cycles. All harmonics
    below half the sample rate are equally strong, as in the "combtooth" of yxlllc/DDSP-SVC; unlike there none is at 0
    Hz, so that the mean is 0. Their sum is Dirichlet's kernel: sum of cos(2 pi k x) for k = 1..K is (sin((2 K + 1) pi
    x) / sin(pi x) - 1) / 2. The last harmonic is faded in and out gradually as f0 glides.
    """
    n = np.arange(MEL_HOP)
    turns = phase[:, None] + (start_hz[:, None] * n + (end_hz - start_hz)[:, None] * n**2 / (2 * MEL_HOP)) / MEL_RATE
    hertz = start_hz[:, None] + (end_hz - start_hz)[:, None] * n / MEL_HOP
    count = np.maximum(MEL_RATE / 2 / np.maximum(hertz, 1.0) - 1, 1.0)  # harmonics, and a fraction of the next
    whole = np.floor(count)
    x = turns - np.round(turns)
    sine = np.sin(np.pi * x)
    close = np.abs(x) < 1e-6
    kernel = np.where(close, 2 * whole + 1, np.sin((2 * whole + 1) * np.pi * x) / np.where(close, 1.0, sine))
    harmonics = (kernel - 1) / 2 + (count - whole) * np.cos(2 * np.pi * (whole + 1) * x)
    return (harmonics * np.sqrt(2 / count) * (hertz > 0)).astype(np.float32).reshape(-1)


class Excitation:
    """A region's pulses and noise, by frame number."""

    def __init__(self, f0: Frames, seed: int = 0):
        self.seed = seed
        self.start_hz, self.end_hz = at_frame_starts(f0)
        self.phase = phase_at_starts((self.start_hz + self.end_hz) * MEL_HOP / (2 * MEL_RATE))

    def __call__(self, start: int, stop: int) -> tuple[Frames, Frames]:
        """Pulses and noise of frames [start, stop): float32 (512 (stop - start),) each."""
        part = slice(start, stop)
        return pulses(self.start_hz[part], self.end_hz[part], self.phase[part]), noise(self.seed, start, stop)[0]
