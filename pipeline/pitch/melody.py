"""Changes of a song's melody before conversion: the key that suits the target voice, and smoother notes.

f0 is in Hz at mel centres, 0 where unvoiced. Pitches are in semitones as in MIDI: 69 is 440 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from ..frames import mel_seconds, seconds_to_mel_frames

F0 = NDArray[np.float32]
REACH = 2.0  # semitones by which a voice's range may exceed that of its training data
FARTHEST_KEY = 36  # semitones
OCTAVE_SLIP_SECONDS = 0.5  # a tracker's octave error lasts less, a sung octave mostly longer
OCTAVE_TOLERANCE = 1.5  # semitones
SPOTS = 8  # places that a warning names at most


def semitones(hertz: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Hz -> MIDI note numbers of the same shape: 69 is A4, 440 Hz. 0 Hz gives -inf."""
    return 69 + 12 * np.log2(np.asarray(hertz, np.float64) / 440.0)


def transposed(f0: F0, key: float) -> F0:
    """f0 (M,) in Hz, `key` semitones higher; unvoiced frames stay 0."""
    return (f0 * np.float32(2 ** (key / 12))).astype(np.float32)


@dataclass(frozen=True)
class Range:
    """A voice's range in Hz in its training data: its low and high notes, and the middle."""

    low: float
    middle: float
    high: float

    def beyond(self, f0: F0) -> NDArray[np.float64]:
        """Semitones by which voiced f0 (N,) Hz lies above (or, negative, below) the voice's range; 0 within."""
        pitch = semitones(f0)
        above = np.maximum(pitch - (semitones(self.high) + REACH), 0)
        below = np.minimum(pitch - (semitones(self.low) - REACH), 0)
        return above + below


def choose_key(f0: F0, voice: Range, any_key: bool = False) -> int:
    """The one key for a whole song in which a voice reaches its notes best: semitones up.

    Each semitone that the notes lie beyond the voice's range, on average, costs as much as 10 semitones between the
    song's median note and the middle of the voice.

    Args:
        f0: the song's, Hz, 0 = unvoiced, float32 (frames,).
        voice: the range to reach.
        any_key: whether any whole number of semitones will do; else only octaves, in which a backing track still fits.
            Even then an octave is preferred by 6 semitones from the middle.
    """
    voiced = f0[f0 > 0]
    if len(voiced) == 0:
        return 0
    middle = float(np.median(semitones(voiced)))
    costs = {}
    for key in range(-FARTHEST_KEY, FARTHEST_KEY + 1, 1 if any_key else 12):
        range_violation = np.abs(voice.beyond(transposed(voiced, key))).mean()
        away = abs(middle + key - float(semitones(voice.middle)))
        costs[key] = 10 * range_violation + away + (0 if key % 12 == 0 else 6)
    return min(costs, key=lambda key: (round(costs[key], 6), abs(key)))


def with_high_notes(f0: F0, wide: F0, f0_max: float) -> F0:
    """f0 with the notes above `f0_max` Hz from a tracker with a higher limit; all other values are unchanged.

    A passage that high of less than 0.1 s is an error of the tracker and no note.

    Args:
        f0: tracked up to f0_max: Hz, 0 = unvoiced, float32 (frames,).
        wide: the same sound, tracked up to a higher frequency.
        f0_max: Hz.
    """
    out = f0.copy()
    high = np.flatnonzero(wide > f0_max)
    for run in np.split(high, np.flatnonzero(np.diff(high) > 1) + 1):
        if len(run) >= seconds_to_mel_frames(0.1):
            out[run] = wide[run]
    return out


@dataclass(frozen=True)
class RangeViolation:
    """Notes that lie beyond a voice: their share of the voiced frames, the farthest in semitones, and where."""

    share: float
    highest: float
    lowest: float
    spots: tuple[tuple[float, float], ...]  # seconds, the longest of them, in order


def range_violation(f0: F0, voice: Range) -> RangeViolation | None:
    """The notes of f0 (M,), Hz, beyond the voice's range; None if none lasts 0.1 s."""
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) == 0:
        return None
    beyond = np.zeros(len(f0))
    beyond[voiced] = voice.beyond(f0[voiced])
    far = np.flatnonzero(beyond)
    runs = np.split(far, np.flatnonzero(np.diff(far) > seconds_to_mel_frames(1.0)) + 1)
    long_enough = [run for run in runs if len(run) >= seconds_to_mel_frames(0.1)]
    if not long_enough:
        return None
    longest = sorted(sorted(long_enough, key=len, reverse=True)[:SPOTS], key=lambda run: int(run[0]))
    spots = tuple((mel_seconds(int(run[0])), mel_seconds(int(run[-1]) + 1)) for run in longest)
    return RangeViolation(len(far) / len(voiced), float(beyond.max()), float(beyond.min()), spots)


def fix_octaves(f0: F0) -> F0:
    """Octave errors repaired: passages of up to half a second that lie an octave from their surroundings.

    The surroundings are the median pitch of the 2 s around. A passage is an error only with a jump at both ends: an
    octave that is sung (longer, or reached by a glide) stays.
    """
    out = f0.copy()
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) < 3:
        return out
    pitch = semitones(f0[voiced])
    jumps = np.flatnonzero((np.abs(np.diff(pitch)) > 12 - OCTAVE_TOLERANCE) | (np.diff(voiced) > 1)) + 1
    runs = np.split(np.arange(len(voiced)), jumps)
    around = seconds_to_mel_frames(1.0)
    for run in runs:
        if len(run) > seconds_to_mel_frames(OCTAVE_SLIP_SECONDS):
            continue
        first, last = voiced[run[0]], voiced[run[-1]]
        near = np.flatnonzero((np.abs(voiced - first) <= around) | (np.abs(voiced - last) <= around))
        near = np.setdiff1d(near, run)
        if len(near) < 2 * len(run):
            continue
        off = float(np.median(pitch[run]) - np.median(pitch[near]))
        octaves = round(off / 12)
        if octaves and abs(off - 12 * octaves) < 4:
            out[voiced[run]] *= np.float32(2.0**-octaves)
            pitch[run] -= 12 * octaves
    return out


def smoothed(f0: F0, milliseconds: float) -> F0:
    """f0 (M,) smoothed over `milliseconds`: a median, then a mean, in semitones, within each voiced run.

    150 ms halves the extent of a vibrato and keeps notes and glides; 0 changes nothing.
    """
    width = seconds_to_mel_frames(milliseconds / 1000) | 1
    if width < 3:
        return f0
    out = np.zeros_like(f0)
    voiced = np.flatnonzero(f0 > 0)
    for run in np.split(voiced, np.flatnonzero(np.diff(voiced) > 1) + 1):
        if len(run) == 0:
            continue
        pitch = median_filter(np.log2(f0[run]), min(width, len(run)), mode="nearest")
        padded = np.pad(pitch, width // 2, mode="edge")
        out[run] = 2.0 ** np.convolve(padded, np.full(width, 1 / width), "valid")
    return out
