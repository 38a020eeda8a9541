"""Recordings: decoded in bounded blocks, mixed to mono, resampled, written.

`scan` streams through a recording and measures its length, its mix to mono and the level of each mel frame; a `Reader`
reads spans of it. Neither holds more than a few seconds beyond what it returns, whatever a file's header claims. Both
read files and SampleBuffers, which `decode` or a caller fills.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ..common.text import count
from .decoding import MAX_HOURS, SUFFIXES, AudioError, claimed_frames, read_blocks
from .frames import MEL_RATE, mel_frame_start, resampled_length
from .levels import measure_levels
from .mixdown import Mixdown, choose_mixdown, repair_parts
from .sample_buffer import SampleBuffer, open_source
from .slicing import MIN_SECONDS

__all__ = [
    "MAX_HOURS",
    "SUFFIXES",
    "AudioError",
    "Mixdown",
    "Reader",
    "Recording",
    "decode",
    "file_hash",
    "read",
    "resample",
    "scan",
    "write",
]

SILENT_DB = -80.0  # dBFS RMS; a recording that never rises above it has no voice
CUT_OFF_SECONDS = 0.25  # missing from the length in the header; less than this is an encoder's delay


@dataclass(frozen=True)
class Recording:
    """A recording that can be used, as `scan` measured it.

    Attributes:
        level_db: RMS of each mel frame, dBFS, float32 (frames,).
        notes: sentences about what was repaired.
        flatness: spectral flatness of each mel frame, float32 (frames,), as `slicing` uses it; see `spectral_flatness`.
    """

    source: Path | SampleBuffer = field(repr=False)
    samples: int
    sample_rate: int
    mixdown: Mixdown
    level_db: NDArray[np.float32] = field(repr=False)
    notes: tuple[str, ...] = ()
    flatness: NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def frames(self) -> int:
        """Mel frames that cover it."""
        return len(self.level_db)

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return self.samples / self.sample_rate


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal: it identifies a recording, whatever its name."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe would block, and a device never ends
            raise AudioError("is no regular file but a pipe, device or folder")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"cannot be read: {error.strerror or error}") from error


def decode(path: Path, folder: Path | None = None) -> SampleBuffer:
    """All samples of a file, decoded once; many samples are kept in an unnamed file in `folder`.

    Raises:
        AudioError: it cannot be decoded, or is beyond the supported limits.
    """
    with closing(open_source(path)) as file:
        buffer = SampleBuffer(file.samplerate, file.channels, folder)
        buffer.claimed = claimed_frames(file)
        try:
            for block in read_blocks(file):
                buffer.append(block)
        except BaseException:
            buffer.close()
            raise
    return buffer


def scan(source: Path | SampleBuffer) -> Recording:
    """Stream through a recording: length, mono mix, level of each mel frame.

    Raises:
        AudioError: it cannot be decoded, is empty, silent, or beyond the supported limits.
    """
    rate, samples, mean, power, notes = _statistics(source)
    mixdown, mix_notes = choose_mixdown(mean, power)
    levels = measure_levels(source, rate, samples, mixdown)
    if len(mean) > 1:
        repaired, more = repair_parts(mixdown, mean, levels.mono_energy, levels.channel_energy, rate)
        if more:
            mixdown, mix_notes = repaired, mix_notes + more
            levels = measure_levels(source, rate, samples, mixdown)
    level, peak = levels.level_db, levels.peak
    if level.max() < SILENT_DB:
        raise AudioError(f"is silent: its loudest moment is {level.max():.0f} dBFS; a voice is above {SILENT_DB:.0f}")
    if peak > 1.0:
        mixdown = mixdown.scaled(1.0 / peak)
        level = level - np.float32(20 * np.log10(peak))
        if peak > 1.02:  # less is a rounding of full scale, not worth a word
            notes.append(f"peaked at {20 * np.log10(peak):+.1f} dBFS and was turned down")
    return Recording(source, samples, rate, mixdown, level, tuple(notes + mix_notes), levels.flatness)


def _statistics(
    source: Path | SampleBuffer,
) -> tuple[int, int, NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Sample rate, length, mean (channels,) and mean products (channels, channels) of a recording, and notes.

    Raises AudioError for what cannot be used.
    """
    with closing(open_source(source)) as file:
        rate, channels, claimed = file.samplerate, file.channels, claimed_frames(file)
        samples, broken = 0, 0
        total = np.zeros(channels)
        power = np.zeros((channels, channels))
        for block in read_blocks(file):
            finite = np.isfinite(block)
            broken += int(block.size - finite.sum())
            block64 = np.where(finite, block, 0.0).astype(np.float64)
            samples += len(block)
            total += block64.sum(0)
            power += block64.T @ block64
    if samples == 0:
        raise AudioError("holds no samples: the file is a header without sound")
    if samples < MIN_SECONDS * rate:
        raise AudioError(
            f"is too short: {1000 * samples / rate:.3g} ms; at least {1000 * MIN_SECONDS:.0f} ms are needed"
        )
    if broken > max(8, samples * channels // 1000):
        raise AudioError(f"{broken} of {samples * channels} samples are not numbers (NaN or infinite); export it again")
    notes = [f"silenced, because not a number (NaN or infinite): {count(broken, 'sample')}"] if broken else []
    if claimed - samples > CUT_OFF_SECONDS * rate:
        notes.append(
            f"is cut off: it ends after {samples / rate:.1f} s of the {claimed / rate:.1f} s that its header promises"
        )
    mean, power = total / samples, power / samples
    if not np.any(np.diagonal(power) > mean**2):
        raise AudioError("is silent: all its samples are the same")
    return rate, samples, mean, power, notes


class Reader:
    """Spans of one recording, cheapest when read in order: then a file is decoded once, whatever its length."""

    def __init__(self, recording: Recording):
        self.recording = recording
        self._begin()

    def _begin(self) -> None:
        self._file = open_source(self.recording.source)
        self._position = 0  # samples handed out or skipped
        self._left: NDArray[np.float32] = np.zeros(0, np.float32)  # mono, decoded beyond the last span
        self._blocks = read_blocks(self._file)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, start: int, end: int) -> NDArray[np.float32]:
        """Mono samples of mel frames [start, end) at the recording's own rate; zeros where it has none.

        Returns float32 (T,), T = mel_frame_start(end) - mel_frame_start(start). Raises AudioError.
        """
        first, last = (mel_frame_start(frame, self.recording.sample_rate) for frame in (start, end))
        self._go_to(first)
        out = np.zeros(last - first, np.float32)
        while self._position < last:
            if len(self._left) == 0:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._left = self.recording.mixdown(block, self._position)
            taken = self._left[: last - self._position]
            low = min(max(0, first - self._position), len(taken))
            out[self._position + low - first : self._position + len(taken) - first] = taken[low:]
            self._position += len(taken)
            self._left = self._left[len(taken) :]
        return out

    def _go_to(self, sample: int) -> None:
        """Move close to `sample`, which lies ahead: by seeking in formats with plain samples, where it is exact."""
        if self._position <= sample < self._position + max(len(self._left), 1):
            return
        exact = self._file.format not in ("OGG", "MP3", "MPEG", "FFMPEG") and self._file.seekable()
        if sample < self._position:
            self.close()
            self._begin()
        if exact and sample > 0:
            self._position = self._file.seek(min(sample, self._file.frames))
            self._left = self._left[:0]


def read(recording: Recording, start: int, end: int) -> NDArray[np.float32]:
    """Mono samples of mel frames [start, end), float32 (T,), as `Reader.read` gives them."""
    with Reader(recording) as reader:
        return reader.read(start, end)


def resample(mono: NDArray[np.float32], from_rate: int, to_rate: int, length: int | None = None) -> NDArray[np.float32]:
    """Resample float32 (T,) with soxr at its high quality, then cut or zero-pad to `length` samples.

    With a length of None the result lasts as long as `wav`.
    """
    length = resampled_length(len(mono), from_rate, to_rate) if length is None else length
    out = mono if from_rate == to_rate else soxr.resample(mono, from_rate, to_rate, quality="HQ")
    return np.pad(out[:length], (0, max(0, length - len(out)))).astype(np.float32, copy=False)


def write(path: Path, mono: NDArray[np.float32], sample_rate: int = MEL_RATE) -> None:
    """Write float (T,) in [-1, 1] as a 16-bit WAV."""
    soundfile.write(path, mono, sample_rate, subtype="PCM_16", format="WAV")
