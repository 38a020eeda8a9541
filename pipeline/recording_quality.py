"""Faults of a recording, measured: clipping, reverberation, other voices or instruments, copies."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

CLIP_RUN = 3  # equal samples in a row at the peak: a converter or a limiter made them
HARMONIC_CENTS = 35.0  # how far from a multiple of f0 power still belongs to the voice
HARMONIC_RANGE = (150.0, 3_000.0)  # Hz
DECAY_FRAMES = 34  # 0.4 s, over which a decay is fitted
FINGERPRINT = (16, 16)  # time segments x groups of mel bands


def clipped_share(wav: NDArray[np.float32]) -> float:
    """The share of samples that are clipped: at the recording's peak, or 0.5% below, and in runs of equal samples.

    Args:
        wav: float (T,), one channel.
    """
    peak = float(np.abs(wav).max(initial=0))
    if len(wav) < CLIP_RUN or peak == 0:
        return 0.0
    high = np.abs(wav) >= 0.995 * peak
    same = np.r_[False, (np.abs(np.diff(wav)) <= 1e-4 * peak) & high[1:] & high[:-1]]
    edges = np.flatnonzero(np.diff(np.r_[False, same, False].astype(np.int8))).reshape(-1, 2)
    runs = edges[:, 1] - edges[:, 0] + 1  # a run of n equal samples has n - 1 equal neighbours
    return float(runs[runs >= CLIP_RUN].sum() / len(wav))


def reverberation_seconds(loudness: NDArray[np.float32], f0: NDArray[np.float32], frame_rate: float) -> float | None:
    """The time in which sound decays by 60 dB, estimated from how loudness falls after notes end.

    The median of the decays' slopes (least squares over 0.4 s); a voice's own release makes dry rooms look like 0.2 s.
    A blind estimate, for comparison of recordings only.

    Args:
        loudness: float (frames,), dBFS.
        f0: float (frames,), Hz, 0 where unvoiced.
        frame_rate: frames a second.

    Returns:
        Seconds, or None where there are fewer than three decays of 10 dB.
    """
    ends = np.flatnonzero((f0[:-1] > 0) & (f0[1:] == 0)) + 1
    times = np.arange(DECAY_FRAMES) / frame_rate
    found = []
    for end in ends.tolist():
        part = loudness[end : end + DECAY_FRAMES]
        if len(part) < DECAY_FRAMES or (f0[end : end + DECAY_FRAMES] > 0).any():
            continue
        part = part[: max(4, int(np.argmin(part)) + 1)].astype(np.float64)
        if part[0] - part[-1] >= 10:
            found.append(-60 / np.polyfit(times[: len(part)], part, 1)[0])
    return float(np.median(found)) if len(found) >= 3 else None


def harmonic_share(wav: NDArray[np.float32], sample_rate: int, f0: float) -> float:
    """The share of a window's power that lies at multiples of f0: near 1 for one voice, less with others or music.

    Args:
        wav: float (samples,), one window with steady f0, about 0.1 s.
        sample_rate: Hz.
        f0: Hz.
    """
    power = np.abs(np.fft.rfft(wav * np.hanning(len(wav)), 4 * len(wav))) ** 2
    hertz = np.arange(len(power)) * sample_rate / (4 * len(wav))
    low, high = max(HARMONIC_RANGE[0], 0.7 * f0), HARMONIC_RANGE[1]
    inside = (hertz >= low) & (hertz <= high)
    multiple = np.maximum(1, np.round(hertz / f0))
    width = np.maximum(hertz * (2 ** (HARMONIC_CENTS / 1200) - 1), 2 * sample_rate / len(wav))  # the window's main lobe
    own = np.abs(hertz - multiple * f0) <= np.minimum(width, 0.45 * f0)
    total = float(power[inside].sum())
    return float(power[inside & own].sum()) / total if total > 0 else 1.0


def fingerprint(mel: NDArray[np.floating]) -> NDArray[np.float32]:
    """A fingerprint of an utterance that finds copies of it in any format and at any level.

    Args:
        mel: float (frames, bands), ln magnitude.

    Returns:
        float32 (256,), of unit length: the product of two is their similarity.
    """
    rows, columns = FINGERPRINT
    values = np.maximum(mel.astype(np.float32), -9.0)
    values = values[:, : values.shape[1] // columns * columns].reshape(len(values), columns, -1).mean(2)
    edges = np.linspace(0, len(values), rows + 1).astype(int)
    out = np.stack([values[a : max(a + 1, b)].mean(0) for a, b in pairwise(edges.tolist())])
    out = (out - out.mean(0)).ravel()
    norm = float(np.linalg.norm(out))
    return np.asarray(out / norm if norm > 0 else out, np.float32)
