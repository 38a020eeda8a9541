"""What came out of a conversion, measured: its f0 beside the target f0, its loudness and mel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ...pipeline import frames, mel
from ...pipeline.pitch import pitch
from ...pipeline.pitch.pitch import PitchSettings
from ..picture import PooledMel
from .output_buffer import OutputBuffer
from .source_audio import SourceAudio


@dataclass(frozen=True)
class Measurement:
    """A result, measured.

    Attributes:
        f0: Hz at mel centres, 0 = unvoiced, float32 (frames,).
        loudness: dBFS, float32 (frames,).
        mel: pooled for a picture.
        cents: distance of f0 from the target f0 where both are voiced, float64 (N,).
    """

    f0: NDArray[np.float32] = field(repr=False)
    loudness: NDArray[np.float32] = field(repr=False)
    mel: PooledMel = field(repr=False)
    cents: NDArray[np.float64] = field(repr=False)

    @property
    def median_cents(self) -> float | None:
        """None where no frame is voiced in both."""
        return float(np.median(self.cents)) if len(self.cents) else None

    def within(self, cents: float) -> float | None:
        """The share of frames at most so far off, of those voiced in both."""
        return float(np.mean(self.cents <= cents)) if len(self.cents) else None

    def figures(self) -> dict[str, float | None]:
        """The figures that a report has."""
        return {
            "median_cents": self.median_cents,
            "within_20_cents": self.within(20),
            "within_50_cents": self.within(50),
        }


def measure(
    result: OutputBuffer, source: SourceAudio, target: NDArray[np.float32], settings: PitchSettings
) -> Measurement:
    """Measure a converted song in the segments that it was converted in, each with the context around it.

    Args:
        result: what was converted, before its volume is adjusted.
        source: the song, for its segments.
        target: the target f0 in Hz, float32 (frames,).
        settings: how the song's f0 was tracked: the range is used, the method is the best one (docs/f0.md).
    """
    f0 = np.zeros(source.frames, np.float32)
    loudness = np.full(source.frames, mel.LOUDNESS_FLOOR_DB, np.float32)
    pooled = PooledMel(source.frames)
    settings = PitchSettings(f0_min=settings.f0_min, f0_max=settings.f0_max)
    for segment in source.segments:
        span, own = slice(segment.span.start, segment.span.end), segment.own
        wav = result.read(segment.start * frames.MEL_HOP, segment.end * frames.MEL_HOP)
        signal = torch.from_numpy(wav)
        f0[span] = pitch.track(wav, settings)[own]
        loudness[span] = mel.loudness(signal).numpy()[own]
        pooled.put(segment.span.start, mel.log_mel(signal).numpy()[own])
    return Measurement(f0, loudness, pooled, pitch.cents_off(f0, target))
