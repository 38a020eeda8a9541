"""Cutting recordings into utterances, at silence. Extract and render use the same rule.

Silence is decided by the recording's gated loudness and its noise floor:

- a frame within `FAR_DB` of the loudness, and well above the noise floor, is sound;
- so is a frame within `FAR_DB` of the loudness that is tonal (a voice, not noise), whatever the noise floor;
- so is every frame within `NEAR_DB` of the loudness.

So a soft passage is not treated as silence because another one is loud. To cut a recording:

    spans = slice_at_silence(recording.level_db, settings, recording.flatness)
    note = describe_unused(recording.frames, spans)     # "" where everything is used

`svc render` must show that note, since nothing is rendered outside of the spans; it can render every frame by cutting
with `replace(settings, silence_db=-90.0)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..common.text import time_ranges
from .frames import mel_seconds, seconds_to_mel_frames

MIN_SECONDS = 0.1  # a shorter clip has no useful unit

GATE_FRAMES = 35  # 0.4 s, the block of EBU R128
ABSOLUTE_GATE_DB, RELATIVE_GATE_DB = -70.0, -10.0  # dBFS, and dB relative to the mean of what passes the first gate
NEAR_DB, FAR_DB = -40.0, -60.0  # relative to the gated loudness: sound above the first, silence below the second
FLOOR_MARGIN_DB = 10.0  # above the noise floor: louder frames are sound
DIGITAL_SILENCE_DB = -100.0  # dBFS; frames below it do not count for the noise floor
SMOOTH_FRAMES = 9  # 0.1 s
TONAL = 0.35  # spectral flatness, averaged over 0.2 s: below it a frame is tonal


@dataclass(frozen=True)
class SliceSettings:
    """Where long recordings are cut. Extract and render must use the same.

    Attributes:
        max_seconds: the longest utterance.
        silence_db: None detects silence as this module describes. A number is a fixed threshold in dB under the
            recording's loudest frame, which was the only rule in stores of version 0.1 (-40).
        max_gap_seconds: the longest silence that is kept inside an utterance.
        margin_seconds: silence that is kept around an utterance.
    """

    max_seconds: float = 15.0
    silence_db: float | None = None
    max_gap_seconds: float = 1.0
    margin_seconds: float = 0.25

    def __post_init__(self) -> None:
        if not 1.0 <= self.max_seconds <= 30.0:
            raise ValueError(f"the longest utterance must last 1 to 30 s, not {self.max_seconds} s")
        if not 0.0 <= self.margin_seconds <= self.max_gap_seconds / 2:
            raise ValueError(f"margins of {self.margin_seconds} s do not fit a gap of {self.max_gap_seconds} s twice")
        if self.silence_db is not None and not -90.0 <= self.silence_db <= -10.0:
            raise ValueError(f"the silence threshold must lie between -90 and -10 dB, not {self.silence_db}")


@dataclass(frozen=True)
class Span:
    """Mel frames [start, end) of a recording. `joined` says that the span before ends here in mid-sound."""

    start: int
    end: int
    joined: bool = False

    def __len__(self) -> int:
        return self.end - self.start


def gated_loudness(level_db: NDArray[np.float32]) -> float:
    """The loudness without silence, in dBFS: the mean power of 0.4-s blocks that pass two gates.

    As EBU R128 gates (ITU-R BS.1770-4, equations 4 to 7), without its frequency weighting.

    Args:
        level_db: float (frames,), RMS of mel frames in dBFS.
    """
    power = _smooth(level_db, GATE_FRAMES)
    for gate in (10 ** (ABSOLUTE_GATE_DB / 10), None):
        least = power[power > 0].mean() * 10 ** (RELATIVE_GATE_DB / 10) if gate is None else gate
        power = power[power >= least] if (power >= least).any() else power
    return float(10 * np.log10(power.mean() + 1e-20))


def noise_floor(level_db: NDArray[np.float32], flatness: NDArray[np.float32] | None = None) -> float:
    """The level of a recording's noise in dBFS: the 5th percentile of 0.1-s levels, of noise-like frames if flatness is
    given.

    Args:
        level_db: float (frames,), dBFS.
        flatness: float (frames,), spectral flatness; without it all frames count.

    Returns:
        dBFS, or `DIGITAL_SILENCE_DB` where there is no noise.
    """
    level = 10 * np.log10(_smooth(level_db, SMOOTH_FRAMES) + 1e-20)
    noise = level > DIGITAL_SILENCE_DB
    if flatness is not None:
        noise &= ~is_tonal(flatness)
    if noise.sum() < max(SMOOTH_FRAMES, len(level) // 100):
        return DIGITAL_SILENCE_DB
    return float(np.percentile(level[noise], 5))


def running_level(level_db: NDArray[np.float32]) -> NDArray[np.float64]:
    """The level over 0.4 s around each mel frame: dBFS (frames,), from that of frames."""
    return np.asarray(10 * np.log10(_smooth(level_db, GATE_FRAMES) + 1e-20))


def is_tonal(flatness: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Frames that sound like a voice rather than like noise: bool (frames,), from spectral flatness (frames,)."""
    width = 2 * SMOOTH_FRAMES + 1
    padded = np.pad(flatness.astype(np.float64), width // 2, mode="edge")
    return np.asarray(np.convolve(padded, np.full(width, 1 / width), "valid") < TONAL)


def is_sound(
    level_db: NDArray[np.float32], settings: SliceSettings, flatness: NDArray[np.float32] | None = None
) -> NDArray[np.bool_]:
    """Which mel frames are not silence: bool (frames,); at least one is. Arguments as of `slice_at_silence`."""
    if settings.silence_db is not None:
        return np.asarray(level_db >= level_db.max() + settings.silence_db)
    loudness = gated_loudness(level_db)
    far = loudness + FAR_DB
    threshold = min(loudness + NEAR_DB, max(far, noise_floor(level_db, flatness) + FLOOR_MARGIN_DB))
    sound = level_db >= min(threshold, level_db.max())
    if flatness is not None:
        sound |= is_tonal(flatness) & (level_db >= far)
    return np.asarray(sound)


def slice_at_silence(
    level_db: NDArray[np.float32], settings: SliceSettings, flatness: NDArray[np.float32] | None = None
) -> list[Span]:
    """Cut a recording into utterances: at long silences, and where one would last too long, at its quietest frame.

    Args:
        level_db: float (frames,), RMS of mel frames in dBFS (`Recording.level_db`).
        flatness: float (frames,), their spectral flatness (`Recording.flatness`): without it, soft passages of a
            recording without pauses may be taken for noise.

    Returns:
        Spans in order, without overlap, none longer than `max_seconds`. Silence longer than `max_gap_seconds` lies in
        none, but for its margins.
    """
    longest, shortest, gap, margin = (
        seconds_to_mel_frames(seconds)
        for seconds in (settings.max_seconds, MIN_SECONDS, settings.max_gap_seconds, settings.margin_seconds)
    )
    loud = np.flatnonzero(is_sound(level_db, settings, flatness))
    breaks = np.flatnonzero(np.diff(loud) > gap + 1)
    starts = np.maximum(loud[np.r_[0, breaks + 1]] - margin, 0)
    ends = np.minimum(loud[np.r_[breaks, len(loud) - 1]] + 1 + margin, len(level_db))
    # Short sounds need a minimum length to be encoded; extend them into the silence beside them.
    ends = np.minimum(np.maximum(ends, starts + shortest), len(level_db))
    starts = np.maximum(np.minimum(starts, ends - shortest), 0)
    spans: list[Span] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        spans += _divide(level_db, start, end, longest)
    return spans


def unused_ranges(frames: int, spans: list[Span]) -> list[tuple[float, float]]:
    """The parts of a recording of `frames` mel frames outside all spans: (start, end) in seconds, in order."""
    edges = [0, *(edge for span in spans for edge in (span.start, span.end)), frames]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    return [(mel_seconds(start), mel_seconds(end)) for start, end in gaps if end > start]


def describe_unused(frames: int, spans: list[Span]) -> str:
    """`7.4 s of 12.4 s (60%) are silence and not used: 0:05.0-0:12.4`, or an empty text where everything is used."""
    ranges = unused_ranges(frames, spans)
    seconds, total = sum(end - start for start, end in ranges), mel_seconds(frames)
    if not ranges:
        return ""
    share = f"{seconds / total:.0%}" if seconds >= 0.01 * total else "under 1%"
    return f"{seconds:.1f} s of {total:.1f} s ({share}) are silence and not used: {time_ranges(ranges)}"


def _smooth(level_db: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    """Mean power over `width` frames around each frame: float64 (frames,)."""
    power = 10 ** (np.asarray(level_db, np.float64) / 10)
    width = min(width, len(power) - 1 + len(power) % 2)  # odd, and no wider than the recording
    width = max(1, width - 1 + width % 2)
    return np.convolve(np.pad(power, width // 2, mode="edge"), np.full(width, 1 / width), "valid")


def _divide(level_db: NDArray[np.float32], start: int, end: int, longest: int) -> Iterator[Span]:
    """Cut [start, end) at its quietest places until no piece is longer than `longest`."""
    width = 9  # frames, about 0.1 s, so that a single quiet frame inside a word is not a cut
    joined = False
    while end - start > longest:
        # Make the last two pieces nearly equal rather than one of them tiny.
        low, high = start + longest // 3, start + longest
        if end - start < 2 * longest:
            low, high = max(low, end - longest), min(high, end - longest // 3)
        power = 10 ** (np.asarray(level_db[low:high], np.float64) / 10)
        smooth = np.convolve(np.pad(power, width // 2, mode="edge"), np.full(width, 1 / width), "valid")
        cut = low + int(smooth.argmin())
        yield Span(start, cut, joined)
        start, joined = cut, True
    yield Span(start, end, joined)
