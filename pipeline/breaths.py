"""Breaths and sibilants of a singer: passages that are unvoiced and noisy, found from the measurements of one pass over
a song.

A breath is drawn in a pause and has most of its energy below 4 kHz; a sibilant is a part of a word and has most of it
above (Ruinskiy and Lavner, 2007, "An effective algorithm for automatic detection and exact demarcation of breath sounds
in speech and song signals", use duration, energy and zero crossings to the same end).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .frames import MEL_RATE, mel_seconds, seconds_to_mel_frames
from .slicing import gated_loudness

NOISY = 0.3  # spectral flatness from which a frame is noise: noise of any colour has 0.56, a voice nearly 0
FLOOR_MARGIN_DB = 6.0  # above the softest tenth of the recording: softer frames are its background
FARTHEST_DB, NEAREST_DB = -50.0, -25.0  # relative to the gated loudness: bounds of the threshold
SOFTEST_DB = -80.0  # dBFS: no breath is softer
SHORTEST_SECONDS = 0.045  # of a passage
BREATH_SECONDS = 0.1, 0.35  # no breath is shorter; a longer passage is a breath at any brightness
GAP_FRAMES = 2  # within a passage
WINDOW_FRAMES = 4  # over which flatness is measured: a passage may reach so far beyond its noisy windows
BRIGHT_HZ, BRIGHT_SHARE = 4_000.0, 0.5


@dataclass(frozen=True)
class NoisePassage:
    """Mel frames [start, end) of a song that are a breath, or else a sibilant or another unvoiced consonant."""

    start: int
    end: int
    breath: bool

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return mel_seconds(self.end - self.start)


def find_breaths(
    f0: NDArray[np.float32],
    level_db: NDArray[np.float32],
    flatness: NDArray[np.float32],
    read: Callable[[int, int], NDArray[np.float32]],
    within: tuple[int, int] | None = None,
) -> list[NoisePassage]:
    """The breaths and sibilants of a song, in order.

    Args:
        f0: Hz, 0 = unvoiced, float32 (frames,).
        level_db: RMS of each mel frame, dBFS, float32 (frames,).
        flatness: spectral flatness of each mel frame, float32 (frames,).
        read: the sound of mel frames [start, end): float32 (512 (end - start),) at 44.1 kHz.
        within: mel frames [start, end): only passages that overlap them are looked for. None is the whole song.
    """
    passages = []
    first, last = within or (0, len(f0))
    for start, end in noisy_runs(f0, level_db, flatness):
        if end <= first or start >= last:
            continue
        seconds = mel_seconds(end - start)
        breath = seconds >= BREATH_SECONDS[0]
        if breath and seconds < BREATH_SECONDS[1]:
            breath = bright_share(read(start, end)) < BRIGHT_SHARE
        passages.append(NoisePassage(start, end, breath))
    return passages


def noisy_runs(
    f0: NDArray[np.float32], level_db: NDArray[np.float32], flatness: NDArray[np.float32]
) -> list[tuple[int, int]]:
    """Runs of mel frames [start, end) that are unvoiced, noise-like, and louder than the background.

    A run does not touch a voiced frame: half of a window there may still be voice. Arguments as of find_breaths.
    """
    loudness = gated_loudness(level_db)
    floor = float(np.percentile(np.maximum(level_db, -120.0), 10)) + FLOOR_MARGIN_DB
    threshold = max(min(max(floor, loudness + FARTHEST_DB), loudness + NEAREST_DB), SOFTEST_DB)
    voiced = f0 > 0
    beside = voiced | np.r_[voiced[1:], False] | np.r_[False, voiced[:-1]]
    sound = (level_db >= threshold) & ~beside
    noisy = sound & (flatness >= NOISY)
    reach = np.convolve(noisy, np.ones(2 * WINDOW_FRAMES + 1), "same") > 0
    found = np.flatnonzero(sound & reach)
    runs = np.split(found, np.flatnonzero(np.diff(found) > GAP_FRAMES + 1) + 1)
    shortest = seconds_to_mel_frames(SHORTEST_SECONDS)
    return [
        (int(run[0]), int(run[-1]) + 1)
        for run in runs
        if len(run) >= shortest and 2 * noisy[run[0] : run[-1] + 1].sum() >= len(run)
    ]


def bright_share(wav: NDArray[np.float32]) -> float:
    """The share of energy above 4 kHz of samples (T,) at 44.1 kHz: 0 to 1."""
    power = np.square(np.abs(np.fft.rfft(wav * np.hanning(len(wav)))))
    total = power.sum()
    return float(power[np.fft.rfftfreq(len(wav), 1 / MEL_RATE) >= BRIGHT_HZ].sum() / total) if total > 0 else 0.0
