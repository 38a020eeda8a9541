"""The features of a song before it is converted: its f0, loudness and mel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ...common.progress import Bar
from ...pipeline import frames, mel
from ...pipeline.pitch.melody import with_high_notes
from ...pipeline.pitch.settings import PitchSettings
from ..picture import PooledMel
from .soft_passages import NEPERS
from .source_audio import Segment, SourceAudio
from .stopwatch import Stopwatch


@dataclass(frozen=True)
class SourceFeatures:
    """Features of a song's phrases; between phrases there are none.

    Attributes:
        source: the song.
        pitch: how f0 was tracked.
        f0: Hz at mel centres as it was tracked, 0 = unvoiced, float32 (frames,).
        loudness: dBFS, float32 (frames,), LOUDNESS_FLOOR_DB between phrases.
        segment_loudness: dBFS of each segment, context included, float32 (len(segment),).
        mel: the song's mel, pooled for a picture.
    """

    source: SourceAudio
    pitch: PitchSettings
    f0: NDArray[np.float32] = field(repr=False)
    loudness: NDArray[np.float32] = field(repr=False)
    segment_loudness: Mapping[Segment, NDArray[np.float32]] = field(repr=False)
    mel: PooledMel = field(repr=False)


def analyse(
    source: SourceAudio, pitch: PitchSettings, bar: Bar, watch: Stopwatch, highest: float | None = None
) -> SourceFeatures:
    """Compute a song's features, segment by segment, as extraction computes an utterance's. `bar` counts seconds.

    With `highest`, notes between `pitch.f0_max` and `highest` Hz are tracked as well: a song may have higher notes than
    the target's recordings.
    """
    f0 = np.zeros(source.frames, np.float32)
    loudness = np.full(source.frames, mel.LOUDNESS_FLOOR_DB, np.float32)
    of_segment: dict[Segment, NDArray[np.float32]] = {}
    pooled = PooledMel(source.frames)
    for segment, wave in source.waveforms(source.segments, (frames.MEL_RATE,)):
        span, own = slice(segment.span.start, segment.span.end), segment.own
        with watch("f0"):
            tracked = wave.f0(pitch)
            if highest is not None and highest > pitch.f0_max:
                tracked = with_high_notes(tracked, wave.f0(replace(pitch, f0_max=highest)), pitch.f0_max)
            f0[span] = tracked[own]
        with watch("mel and loudness"):
            gain = source.segment_gain_db(segment)
            of_segment[segment] = wave.loudness() - gain
            loudness[span] = of_segment[segment][own]
            pooled.put(segment.span.start, (wave.log_mel().astype(np.float32) - NEPERS * gain[:, None])[own])
        bar.advance(frames.mel_seconds(len(segment.span)))
    return SourceFeatures(source, pitch, f0, loudness, of_segment, pooled)
