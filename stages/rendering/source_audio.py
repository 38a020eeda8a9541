"""A song before it is converted: its segments, and their sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...pipeline import audio, frames
from ...pipeline.audio import Recording
from ...pipeline.slicing import SliceSettings, Span, describe_unused, is_sound, slice_at_silence
from ..features import Waveform
from .soft_passages import amplified, soft_gain_db

SHARED_FRAMES = 22  # mel frames, 0.25 s, that segments cut in mid-sound share with their neighbours

MOST_LOST_SECONDS = 1.0  # of sound that a fixed threshold of a voice's recordings may leave out of a song


def song_slices(recording: Recording, stored: SliceSettings, silence_db: float | None = None) -> SliceSettings:
    """How a song is sliced for a voice whose recordings were sliced by `stored`: in the same way, as far as possible.

    Stores of version 0.1 have a fixed threshold under the loudest moment, which treats a soft passage of a song as
    silence. If it would leave out MOST_LOST_SECONDS of sound, silence is detected as in pipeline.slicing today.

    Args:
        recording: the song.
        stored: of the voice's recordings.
        silence_db: the user's own threshold, which replaces both.
    """
    if silence_db is not None or stored.silence_db is None:
        return replace(stored, silence_db=silence_db)
    judged = replace(stored, silence_db=None)
    lost = is_sound(recording.level_db, judged, recording.flatness)
    for span in slice_at_silence(recording.level_db, stored, recording.flatness):
        lost[span.start : span.end] = False
    return stored if frames.mel_seconds(int(lost.sum())) < MOST_LOST_SECONDS else judged


@dataclass(frozen=True)
class Segment:
    """A span of a song, and the context around it: mel frames [start, end).

    `before` and `after` say whether another segment adjoins there: then the context is SHARED_FRAMES of it.
    """

    span: Span
    start: int
    end: int
    before: bool
    after: bool

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def own(self) -> slice:
        """Where the span lies within the segment's own frames."""
        return slice(self.span.start - self.start, self.span.end - self.start)


@dataclass(frozen=True)
class Phrase:
    """Segments that adjoin in mid-sound, with silence around them. `number` counts the song's phrases from 0."""

    number: int
    segments: tuple[Segment, ...]

    @property
    def start(self) -> int:
        """The first mel frame."""
        return self.segments[0].span.start

    @property
    def end(self) -> int:
        """The mel frame after the last."""
        return self.segments[-1].span.end


@dataclass(frozen=True)
class SourceAudio:
    """A recording and the phrases that it is converted in, which do not overlap."""

    recording: Recording
    phrases: tuple[Phrase, ...]

    @classmethod
    def cut(cls, recording: Recording, slices: SliceSettings) -> SourceAudio:
        """A recording, cut at its silences."""
        spans = slice_at_silence(recording.level_db, slices, recording.flatness)
        phrases: list[list[Segment]] = []
        for span, following in zip(spans, [*spans[1:], None], strict=True):
            after = following is not None and following.joined
            start, end = span.start - SHARED_FRAMES * span.joined, span.end + SHARED_FRAMES * after
            if not span.joined:
                phrases.append([])
            phrases[-1].append(Segment(span, start, end, span.joined, after))
        return cls(recording, tuple(Phrase(number, tuple(segments)) for number, segments in enumerate(phrases)))

    @property
    def frames(self) -> int:
        """Mel frames that cover the song."""
        return self.recording.frames

    @property
    def samples(self) -> int:
        """Samples at 44.1 kHz that last as long as the song."""
        return frames.resampled_length(self.recording.samples, self.recording.sample_rate, frames.MEL_RATE)

    @property
    def segments(self) -> list[Segment]:
        """The segments of all phrases, in order."""
        return [segment for phrase in self.phrases for segment in phrase.segments]

    @property
    def seconds_converted(self) -> float:
        """The spans of the phrases."""
        return frames.mel_seconds(sum(phrase.end - phrase.start for phrase in self.phrases))

    @property
    def notes(self) -> list[str]:
        """How much of the song is treated as silence and not converted, and where."""
        spans = [segment.span for segment in self.segments]
        return [note] if (note := describe_unused(self.frames, spans)) else []

    @cached_property
    def gain_db(self) -> NDArray[np.float32]:
        """The gain of each mel frame before conversion, dB, float32 (frames,): soft_passages."""
        return soft_gain_db(self.recording.level_db, self.recording.flatness)

    def segment_gain_db(self, segment: Segment) -> NDArray[np.float32]:
        """`gain_db` of a segment, context included: float32 (M,)."""
        return self.gain_db[segment.start : segment.end]

    def waveforms(
        self, segments: Sequence[Segment], rates: Sequence[int], amplify: bool = True
    ) -> Iterator[tuple[Segment, Waveform]]:
        """The sound of segments, context included, at sample rates of `rates` (44100, 16000).

        Sound that adjoining segments share is read once. Soft passages are louder by `gain_db`, unless `amplify` is
        false.
        """
        rate = self.recording.sample_rate
        held, held_start, held_end = np.zeros(0, np.float32), 0, 0
        with audio.Reader(self.recording) as reader:
            for segment in segments:
                if held_start <= segment.start < held_end:
                    skip = frames.mel_frame_start(segment.start, rate) - frames.mel_frame_start(held_start, rate)
                    mono = np.concatenate([held[skip:], reader.read(held_end, segment.end)])
                else:
                    mono = reader.read(segment.start, segment.end)
                held, held_start, held_end = mono, segment.start, segment.end
                sound = amplified(mono, self.segment_gain_db(segment)) if amplify else mono
                yield segment, Waveform(sound, rate, len(segment), rates)
