"""Cutting recordings into utterances, at silence. Extract and render cut alike: the encoder hears whole utterances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .frames import seconds_to_mel_frames

MIN_SECONDS = 0.1  # what is shorter holds no unit worth having


@dataclass(frozen=True)
class SliceSettings:
    """Where long recordings are cut. Extract and render must use the same.

    `max_seconds` bounds an utterance, `silence_db` counts from the recording's loudest frame, `max_gap_seconds` is
    the longest silence kept inside an utterance and `margin_seconds` what is kept of the silence around it.
    """

    max_seconds: float = 15.0
    silence_db: float = -40.0
    max_gap_seconds: float = 1.0
    margin_seconds: float = 0.25

    def __post_init__(self) -> None:
        if not 1.0 <= self.max_seconds <= 30.0:
            raise ValueError(f"the longest utterance must last 1 to 30 s, not {self.max_seconds} s")
        if not 0.0 <= self.margin_seconds <= self.max_gap_seconds / 2:
            raise ValueError(f"margins of {self.margin_seconds} s do not fit a gap of {self.max_gap_seconds} s twice")
        if not -90.0 <= self.silence_db <= -10.0:
            raise ValueError(f"the silence threshold must lie between -90 and -10 dB, not {self.silence_db}")


@dataclass(frozen=True)
class Span:
    """Mel frames [start, end) of a recording. `joined` says that the span before ends here in mid-sound."""

    start: int
    end: int
    joined: bool = False

    def __len__(self) -> int:
        return self.end - self.start


def slice_at_silence(level_db: NDArray[np.float32], settings: SliceSettings) -> list[Span]:
    """Cut a recording into utterances: at long silences, and where one would last too long, at its quietest frame.

    `level_db` is float (frames,). The spans are in order, do not overlap, none is longer than `max_seconds`, and
    silence longer than `max_gap_seconds` lies in none, but for its margins.
    """
    longest, shortest, gap, margin = (
        seconds_to_mel_frames(seconds)
        for seconds in (settings.max_seconds, MIN_SECONDS, settings.max_gap_seconds, settings.margin_seconds)
    )
    loud = np.flatnonzero(level_db >= level_db.max() + settings.silence_db)
    breaks = np.flatnonzero(np.diff(loud) > gap + 1)
    starts = np.maximum(loud[np.r_[0, breaks + 1]] - margin, 0)
    ends = np.minimum(loud[np.r_[breaks, len(loud) - 1]] + 1 + margin, len(level_db))
    # Islands of sound need some length to be encoded at all; take it from the silence beside them.
    ends = np.minimum(np.maximum(ends, starts + shortest), len(level_db))
    starts = np.maximum(np.minimum(starts, ends - shortest), 0)
    spans: list[Span] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        spans += _divide(level_db, start, end, longest)
    return spans


def _divide(level_db: NDArray[np.float32], start: int, end: int, longest: int) -> Iterator[Span]:
    """Cut [start, end) at its quietest places until no piece is longer than `longest`."""
    width = 9  # frames, about 0.1 s: one quiet frame inside a word is no place to cut
    joined = False
    while end - start > longest:
        # Leave the last two pieces near equal rather than one of them tiny.
        low, high = start + longest // 3, start + longest
        if end - start < 2 * longest:
            low, high = max(low, end - longest), min(high, end - longest // 3)
        power = 10 ** (np.asarray(level_db[low:high], np.float64) / 10)
        smooth = np.convolve(np.pad(power, width // 2, mode="edge"), np.full(width, 1 / width), "valid")
        cut = low + int(smooth.argmin())
        yield Span(start, cut, joined)
        start, joined = cut, True
    yield Span(start, end, joined)
