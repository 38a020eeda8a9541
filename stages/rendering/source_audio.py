"""A song before it is sung anew: where it is cut, its f0, and its windows in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.progress import Bar
from ...pipeline import audio, frames
from ...pipeline.audio import Recording
from ...pipeline.pitch.pitch import PitchSettings
from ...pipeline.slicing import SliceSettings, Span, slice_at_silence
from ..features import Waveform

SHARED_FRAMES = 22  # mel frames, 0.25 s, that slices cut in mid-sound share with their neighbours


@dataclass(frozen=True)
class Segment:
    """A slice and the context around it: mel frames [start, end). `before`, `after`: another slice adjoins there."""

    span: Span
    start: int
    end: int
    before: bool
    after: bool

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class SourceAudio:
    """A recording and its windows. `f0` is Hz at mel centres, 0 = unvoiced, float32 (frames,), once it is tracked."""

    recording: Recording
    windows: list[Segment]
    f0: NDArray[np.float32] = field(repr=False)

    @classmethod
    def open(cls, path: Path, slices: SliceSettings) -> SourceAudio:
        """Raises AudioError where it cannot be used."""
        recording = audio.scan(path)
        spans = slice_at_silence(recording.level_db, slices)
        windows = []
        for span, following in zip(spans, [*spans[1:], None], strict=True):
            after = following is not None and following.joined
            windows.append(
                Segment(
                    span, span.start - SHARED_FRAMES * span.joined, span.end + SHARED_FRAMES * after, span.joined, after
                )
            )
        return cls(recording, windows, np.zeros(recording.frames, np.float32))

    @property
    def seconds_sung(self) -> float:
        return frames.mel_seconds(sum(len(window.span) for window in self.windows))

    def track(self, settings: PitchSettings, bar: Bar) -> None:
        """Fill in f0, window by window, as extraction does."""
        for window, wave in self.waveforms((frames.MEL_RATE,)):
            own = slice(window.span.start - window.start, window.span.end - window.start)
            self.f0[window.span.start : window.span.end] = wave.f0(settings)[own]
            bar.advance(frames.mel_seconds(len(window.span)))

    def regions(self) -> Iterator[list[Segment]]:
        """Runs of windows that follow each other in mid-sound."""
        region: list[Segment] = []
        for window in self.windows:
            if region and not window.before:
                yield region
                region = []
            region.append(window)
        if region:
            yield region

    def waveforms(
        self, rates: tuple[int, ...] = (frames.MEL_RATE, frames.CONTENT_RATE)
    ) -> Iterator[tuple[Segment, Waveform]]:
        """Each window's sound. The file is decoded once, in order: what windows share is kept."""
        rate = self.recording.sample_rate
        held, held_start, held_end = np.zeros(0, np.float32), 0, 0
        with audio.Reader(self.recording) as reader:
            for window in self.windows:
                shared = max(0, held_end - window.start)
                if shared:
                    skip = frames.mel_frame_start(window.start, rate) - frames.mel_frame_start(held_start, rate)
                    mono = np.concatenate([held[skip:], reader.read(held_end, window.end)])
                else:
                    mono = reader.read(window.start, window.end)
                held, held_start, held_end = mono, window.start, window.end
                yield window, Waveform(mono, rate, len(window), rates)
