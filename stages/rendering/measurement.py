"""Measurement of a result: its f0 compared with the target f0, its loudness and mel, and its faults.

All shares are of the frames that should be voiced. A share of the frames that are voiced in both f0s would be 100% for
a song of which half became noise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.text import time_ranges
from ...pipeline import frames, mel
from ...pipeline.frames import mel_seconds, seconds_to_mel_frames
from ...pipeline.pitch import pitch, swift_f0
from ...pipeline.pitch.settings import PitchSettings
from ...pipeline.vocoder import rumble
from ..picture import PooledMel
from .output_buffer import OutputBuffer
from .soft_passages import amplified
from .source_audio import SourceAudio

SILENT_DB = -60.0  # dBFS: softer frames count as silence,
SOFTER_DB = 20.0  # where the song is so much louder
CLIPPED = 0.999  # of full scale: a vocoder that saturates stays there
LOW_ENERGY = 0.01  # the share of a frame's energy below f0 / 2 from which it is a fault, -20 dB
MEASURABLE_HZ = 48.0, 2050.0  # target f0 that the tracker can find again, vibrato included
CONTEXT = rumble.WINDOW  # samples around a segment that its frames depend on
BRIEF_SECONDS = 0.1  # the times of shorter faults are not reported

FAULTS = {
    "unvoiced": "came out without a pitch",
    "silent": "came out silent",
    "clipped": "came out at full scale",
    "low": f"have more than {LOW_ENERGY:.0%} of their energy below half their f0",
}


@dataclass(frozen=True)
class Fault:
    """One of FAULTS: the share of the frames that should be voiced which have it, and its times in seconds."""

    name: str
    share: float
    spots: tuple[tuple[float, float], ...]

    def __str__(self) -> str:
        where = f", at {time_ranges(list(self.spots))}" if self.spots else ""
        return f"{self.share:.1%} of the voiced frames {FAULTS[self.name]}{where}"


@dataclass(frozen=True)
class Measurement:
    """A result, measured at mel centres.

    Attributes:
        target: the f0 asked for, Hz, 0 = unvoiced, float32 (frames,).
        f0: the result's, Hz, 0 = unvoiced, float32 (frames,).
        loudness: dBFS, float32 (frames,).
        source_db: the level of the song, dBFS, float32 (frames,).
        low_energy: the share of energy below half the target f0, float64 (frames,).
        clipped: whether samples are at full scale, bool (frames,).
        mel: pooled for a picture.
    """

    target: NDArray[np.float32] = field(repr=False)
    f0: NDArray[np.float32] = field(repr=False)
    loudness: NDArray[np.float32] = field(repr=False)
    source_db: NDArray[np.float32] = field(repr=False)
    low_energy: NDArray[np.float64] = field(repr=False)
    clipped: NDArray[np.bool_] = field(repr=False)
    mel: PooledMel = field(repr=False)

    @property
    def asked(self) -> NDArray[np.bool_]:
        """The frames that should be voiced and can be measured, bool (frames,)."""
        return (self.target >= MEASURABLE_HZ[0]) & (self.target <= MEASURABLE_HZ[1])

    @property
    def cents(self) -> NDArray[np.float64]:
        """The distance of f0 from the target at those frames, infinite where the result is unvoiced: float64 (N,)."""
        found, target = self.f0[self.asked].astype(np.float64), self.target[self.asked].astype(np.float64)
        with np.errstate(divide="ignore"):
            return np.abs(1200 * np.log2(found / target))

    @property
    def median_cents(self) -> float | None:
        """The median distance over voiced frames of the result; None without any."""
        voiced = self.cents[np.isfinite(self.cents)]
        return float(np.median(voiced)) if len(voiced) else None

    def within(self, cents: float) -> float | None:
        """The share of frames that should be voiced with at most that distance; None without such frames."""
        return float(np.mean(self.cents <= cents)) if self.asked.any() else None

    def faults(self) -> list[Fault]:
        """Faults of frames that should be voiced; kinds that do not occur are left out."""
        silent = (self.loudness < SILENT_DB) & (self.loudness < self.source_db - SOFTER_DB)
        found = {
            "unvoiced": (self.f0 == 0) & ~silent,
            "silent": silent,
            "clipped": self.clipped,
            "low": self.low_energy > LOW_ENERGY,
        }
        asked = self.asked
        return [
            Fault(name, float((where & asked).sum() / asked.sum()), _spots(where & asked))
            for name, where in found.items()
            if (where & asked).any()
        ]

    def notable(self) -> list[Fault]:
        """The faults that are reported: of 1% of the frames, or with a time."""
        return [fault for fault in self.faults() if fault.share >= 0.01 or fault.spots]

    def figures(self) -> dict[str, float | None]:
        """The accuracy of f0 in words."""
        return {
            "median_cents": self.median_cents,
            "within_20_cents": self.within(20),
            "within_50_cents": self.within(50),
        }

    def describe(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            **self.figures(),
            "asked_voiced_seconds": round(mel_seconds(int(self.asked.sum())), 3),
            **{
                name: {
                    "share": round(fault.share, 5) if fault else 0.0,
                    "seconds": [[round(t, 2) for t in spot] for spot in (fault.spots if fault else ())],
                }
                for name in FAULTS
                for fault in [next((each for each in self.faults() if each.name == name), None)]
            },
        }


def measure(result: OutputBuffer, source: SourceAudio, target: NDArray[np.float32]) -> Measurement:
    """Measure a converted song in the segments that it was converted in, each with the sound around it.

    Args:
        result: the converted sound, before its volume is adjusted.
        source: the song, for its segments.
        target: the target f0 in Hz, 0 = unvoiced, float32 (frames,).
    """
    f0 = np.zeros(source.frames, np.float32)
    loudness = np.full(source.frames, mel.LOUDNESS_FLOOR_DB, np.float32)
    low, clipped = np.zeros(source.frames), np.zeros(source.frames, bool)
    pooled = PooledMel(source.frames)
    # The result is always measured by the best method (docs/f0.md), in its full range.
    settings = PitchSettings(f0_min=swift_f0.LOWEST_HZ, f0_max=swift_f0.HIGHEST_HZ)
    for segment in source.segments:
        span, own = slice(segment.span.start, segment.span.end), segment.own
        wav = result.read(segment.start * frames.MEL_HOP, segment.end * frames.MEL_HOP)
        signal = torch.from_numpy(wav)
        f0[span] = pitch.track(amplified(wav, source.segment_gain_db(segment)), settings)[own]
        loudness[span] = mel.loudness(signal).numpy()[own]
        pooled.put(span.start, mel.log_mel(signal).numpy()[own])
        around = result.read(span.start * frames.MEL_HOP - CONTEXT, span.stop * frames.MEL_HOP + CONTEXT)
        low[span] = rumble.low_energy(around, target[span], CONTEXT)
        inside = np.abs(around[CONTEXT:-CONTEXT]).reshape(-1, frames.MEL_HOP)
        clipped[span] = inside.max(1) >= CLIPPED
    return Measurement(target, f0, loudness, source.recording.level_db, low, clipped, pooled)


def _spots(where: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Times of a fault (start, end), in seconds.

    Those less than half a second apart are merged; brief ones are dropped.
    """
    at = np.flatnonzero(where)
    runs = np.split(at, np.flatnonzero(np.diff(at) > seconds_to_mel_frames(0.5)) + 1)
    long = [run for run in runs if len(run) >= seconds_to_mel_frames(BRIEF_SECONDS)]
    return tuple((mel_seconds(int(run[0])), mel_seconds(int(run[-1]) + 1)) for run in long)
