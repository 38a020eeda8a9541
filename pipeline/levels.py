"""How loud and how noise-like each mel frame of a recording is, found in one pass over its samples."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .decoding import read_blocks
from .frames import mel_frame_start, mel_frames_covering
from .mixdown import PART_SECONDS, Mixdown
from .sample_buffer import SampleBuffer, open_source

WINDOW_FRAMES = 4  # mel frames, 46 ms, over which spectral flatness is measured


@dataclass(frozen=True)
class Levels:
    """What one pass over the mono signal measures.

    Attributes:
        level_db: RMS of each mel frame in dBFS, float32 (frames,).
        peak: the largest magnitude.
        flatness: spectral flatness of each mel frame, float32 (frames,).
        mono_energy, channel_energy: float64 (parts,) and (parts, channels), in parts of `PART_SECONDS`.
    """

    level_db: NDArray[np.float32]
    peak: float
    flatness: NDArray[np.float32]
    mono_energy: NDArray[np.float64]
    channel_energy: NDArray[np.float64]


def measure_levels(source: Path | SampleBuffer, rate: int, samples: int, mixdown: Mixdown) -> Levels:
    """Stream through a recording of `samples` at `rate` Hz, mixed to mono. Raises AudioError."""
    edges = np.array([mel_frame_start(frame, rate) for frame in range(mel_frames_covering(samples, rate) + 1)])
    energy, flatness = np.zeros(len(edges) - 1), np.ones(len(edges) - 1, np.float32)
    length = round(PART_SECONDS * rate)
    parts = np.arange(-(-samples // length) + 1) * length
    mono_energy = np.zeros(len(parts) - 1)
    channel_energy = np.zeros((len(parts) - 1, len(mixdown.weights)))
    position, peak = 0, 0.0
    with closing(open_source(source)) as file:
        for block in read_blocks(file):
            mono = mixdown(block, position).astype(np.float64)
            peak = max(peak, float(np.abs(mono).max()))
            energy += _energy_between(mono, edges - position)
            if file.channels > 1:
                mono_energy += _energy_between(mono, parts - position)
                for channel in range(file.channels):
                    clean = np.nan_to_num(block[:, channel], nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
                    channel_energy[:, channel] += _energy_between(clean - clean.mean(), parts - position)
            _measure_flatness(mono, edges - position, rate, flatness)
            position += len(mono)
    level = (10 * np.log10(energy / np.maximum(np.diff(edges), 1) + 1e-20)).astype(np.float32)
    return Levels(level, peak, flatness, mono_energy, channel_energy)


def _energy_between(wav: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of squares between each two edges, which are samples of `wav` or lie outside of it."""
    running = np.concatenate([[0.0], np.cumsum(wav**2)])
    return np.diff(running[np.clip(edges, 0, len(wav))])


def _measure_flatness(
    mono: NDArray[np.float64], edges: NDArray[np.int64], rate: int, flatness: NDArray[np.float32]
) -> None:
    """Fill in the flatness of the mel frames whose windows lie in a block; see `spectral_flatness`."""
    first, last = np.searchsorted(edges, [0, len(mono)])
    length = mel_frame_start(WINDOW_FRAMES, rate) - 1  # a window may be a sample shorter at some rates
    frames = np.arange(-(-first // WINDOW_FRAMES) * WINDOW_FRAMES, last, WINDOW_FRAMES)
    frames = frames[edges[frames] + length <= len(mono)] if len(frames) else frames
    for some in np.array_split(frames, max(1, len(frames) // 64)):  # few at a time: an array that fits the cache
        found = spectral_flatness(mono[edges[some][:, None] + np.arange(length)], rate)
        for offset in range(WINDOW_FRAMES):
            inside = some + offset < len(flatness)
            flatness[some[inside] + offset] = found[inside]


def spectral_flatness(windows: NDArray[np.float64], rate: int) -> NDArray[np.float32]:
    """How noise-like windows of sound are: about 0.56 for noise of any colour, near 0 for a voice or another tone.

    The geometric over the arithmetic mean of the power spectrum (Gray and Markel, 1974), in bands of about 400 Hz from
    100 to 5000 Hz, weighted by the bands' power, so that the spectrum's slope does not matter.

    Args:
        windows: float64 (n, samples), about 46 ms.
        rate: Hz.

    Returns:
        float32 (n,), 1 for digital silence.
    """
    power = np.abs(np.fft.rfft(windows * np.hanning(windows.shape[1]))) ** 2
    step = rate / windows.shape[1]
    low, width = round(100 / step), max(2, round(400 / step))
    bands = max(1, int(min(5_000, rate / 2) / step - low) // width)
    banded = power[:, low : low + bands * width].reshape(len(power), bands, width) + 1e-30
    mean = banded.mean(2)
    flat = np.exp(np.log(banded).mean(2)) / mean
    out = (flat * mean).sum(1) / mean.sum(1)
    return np.where(mean.sum(1) < 1e-20 * bands, 1.0, out).astype(np.float32)
