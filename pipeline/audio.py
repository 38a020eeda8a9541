"""Recordings: decoded in bounded blocks, mixed to mono, resampled, written.

`scan` streams through a recording and learns its length, how to mix it to mono and how loud each mel frame is; a
`Reader` brings spans of it. Neither holds more than a few seconds beyond what it returns, whatever a file's header
claims. Both read files, and what `decode` (or a caller's own array) has put into a SampleBuffer.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ..common.errors import SvcError
from .frames import MEL_RATE, mel_frame_start, mel_frames_covering, resampled_length
from .sample_buffer import BufferReader, SampleBuffer
from .slicing import MIN_SECONDS

SUFFIXES = frozenset(
    [
        ".wav",
        ".flac",
        ".mp3",
        ".ogg",
        ".opus",
        ".oga",
        ".aiff",
        ".aif",
        ".au",
        ".caf",
        ".rf64",
        ".w64",
        ".m4a",
    ]
)
MAX_HOURS = 24.0  # a longer file is taken for a broken or hostile header
MAX_CHANNELS = 32
RATES = (4_000, 384_000)  # Hz, lowest and highest sample rate believed
SILENT_DB = -80.0  # dBFS RMS; a recording that never rises above it holds no voice
BLOCK_FRAMES = 1_024  # mel frames decoded at a time, about 12 s


class AudioError(SvcError, ValueError):
    """A recording cannot be used. The message is a sentence for its owner."""


@dataclass(frozen=True)
class Mixdown:
    """How channels become mono: (channels @ weights - offset) * gain."""

    weights: tuple[float, ...]
    offset: float = 0.0
    gain: float = 1.0

    def __call__(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        # Channel after channel, not as a matrix product, whose rounding may depend on where a block begins.
        clean = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
        mono = np.zeros(len(block), np.float32)
        for channel, weight in enumerate(self.weights):
            mono += clean[:, channel] * np.float32(weight)
        return (mono - np.float32(self.offset)) * np.float32(self.gain)


@dataclass(frozen=True)
class Recording:
    """What one pass over a file tells about it.

    `level_db` is the RMS of each mel frame, dBFS, float32 (frames,). `notes` are sentences about what was mended.
    """

    source: Path | SampleBuffer = field(repr=False)
    samples: int
    sample_rate: int
    mixdown: Mixdown
    level_db: NDArray[np.float32] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Mel frames that cover it."""
        return len(self.level_db)

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal: what a recording is known by, whatever its name."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"cannot be read: {error.strerror or error}") from error


def decode(path: Path, folder: Path | None = None) -> SampleBuffer:
    """All samples of a file, decoded once; where they are many they lie in an unnamed file in `folder`.

    Raises:
        AudioError: it cannot be decoded, or is beyond what is believed of a recording.
    """
    with _open(path) as file:
        buffer = SampleBuffer(file.samplerate, file.channels, folder)
        try:
            for block in _blocks(file):
                buffer.append(block)
        except BaseException:
            buffer.close()
            raise
    return buffer


def scan(source: Path | SampleBuffer) -> Recording:
    """Stream through a recording: length, mono mix, level of each mel frame.

    Raises:
        AudioError: it cannot be decoded, is empty, silent, or beyond what is believed of a recording.
    """
    with _open(source) as file:
        rate, channels = file.samplerate, file.channels
        samples, broken = 0, 0
        total = np.zeros(channels)
        power = np.zeros((channels, channels))
        for block in _blocks(file):
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
    notes = [f"{broken} samples were not numbers (NaN or infinite) and were silenced"] if broken else []
    mean, power = total / samples, power / samples
    if not np.any(np.diagonal(power) > mean**2):
        raise AudioError("is silent: all its samples are the same")
    mixdown, mix_notes = _choose_mixdown(mean, power)
    level, peak = _levels(source, rate, samples, mixdown)
    if level.max() < SILENT_DB:
        raise AudioError(f"is silent: its loudest moment is {level.max():.0f} dBFS; a voice is above {SILENT_DB:.0f}")
    if peak > 1.0:
        mixdown = Mixdown(mixdown.weights, mixdown.offset, 1.0 / peak)
        level = level - np.float32(20 * np.log10(peak))
        if peak > 1.02:  # less is a rounding of full scale, not worth a word
            notes.append(f"peaked at {20 * np.log10(peak):+.1f} dBFS and was turned down")
    return Recording(source, samples, rate, mixdown, level, tuple(notes + mix_notes))


class Reader:
    """Spans of one recording, cheapest when asked for in order: then a file is decoded once, however long."""

    def __init__(self, recording: Recording):
        self.recording = recording
        self._begin()

    def _begin(self) -> None:
        self._file = _open(self.recording.source)
        self._position = 0  # samples handed out or skipped
        self._left: NDArray[np.float32] = np.zeros(0, np.float32)  # mono, decoded beyond the last span
        self._blocks = _blocks(self._file)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, start: int, end: int) -> NDArray[np.float32]:
        """Mono samples of mel frames [start, end) at the recording's own rate; zeros where it has none.

        Returns float32 (mel_frame_start(end) - mel_frame_start(start),). Raises AudioError where it cannot be decoded.
        """
        first, last = (mel_frame_start(frame, self.recording.sample_rate) for frame in (start, end))
        self._go_to(first)
        out = np.zeros(last - first, np.float32)
        while self._position < last:
            if len(self._left) == 0:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._left = self.recording.mixdown(block)
            taken = self._left[: last - self._position]
            low = min(max(0, first - self._position), len(taken))
            out[self._position + low - first : self._position + len(taken) - first] = taken[low:]
            self._position += len(taken)
            self._left = self._left[len(taken) :]
        return out

    def _go_to(self, sample: int) -> None:
        """Bring `sample` ahead, near: by seeking where that is exact, which it is where samples are stored plainly."""
        if self._position <= sample < self._position + max(len(self._left), 1):
            return
        exact = self._file.format not in ("OGG", "MP3", "MPEG") and self._file.seekable()
        if sample < self._position:
            self.close()
            self._begin()
        if exact and sample > 0:
            self._position = self._file.seek(min(sample, self._file.frames))
            self._left = self._left[:0]


def read(recording: Recording, start: int, end: int) -> NDArray[np.float32]:
    """Mono samples of mel frames [start, end), as `Reader.read` gives them."""
    with Reader(recording) as reader:
        return reader.read(start, end)


def resample(mono: NDArray[np.float32], from_rate: int, to_rate: int, length: int | None = None) -> NDArray[np.float32]:
    """Resample float32 (T,) with soxr at its high quality, then cut or zero-pad to `length` samples.

    A length of None is that which lasts as long.
    """
    length = resampled_length(len(mono), from_rate, to_rate) if length is None else length
    out = mono if from_rate == to_rate else soxr.resample(mono, from_rate, to_rate, quality="HQ")
    return np.pad(out[:length], (0, max(0, length - len(out)))).astype(np.float32, copy=False)


def write(path: Path, mono: NDArray[np.float32], sample_rate: int = MEL_RATE) -> None:
    """Write float (T,) in [-1, 1] as a 16-bit WAV."""
    soundfile.write(path, mono, sample_rate, subtype="PCM_16", format="WAV")


def _open(source: Path | SampleBuffer) -> soundfile.SoundFile | BufferReader:
    file = source.open() if isinstance(source, SampleBuffer) else _open_file(source)
    if not RATES[0] <= file.samplerate <= RATES[1]:
        raise AudioError(f"claims a sample rate of {file.samplerate} Hz; {RATES[0]} to {RATES[1]} Hz are believed")
    if file.channels > MAX_CHANNELS:
        raise AudioError(f"claims {file.channels} channels; at most {MAX_CHANNELS} are believed")
    return file


def _open_file(path: Path) -> soundfile.SoundFile:
    try:
        # As bytes, since a name need not be text; Windows has none of those.
        return soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(_why_unreadable(path, error)) from error


def _why_unreadable(path: Path, error: Exception) -> str:
    try:
        size = path.stat().st_size
    except OSError as stat_error:
        return f"cannot be read: {stat_error.strerror or stat_error}"
    if size == 0:
        return "is empty (0 bytes)"
    if path.suffix.lower() in (".m4a", ".mp4", ".aac"):
        return "is AAC, which libsndfile does not read; convert it to FLAC or WAV first"
    detail = str(getattr(error, "error_string", "") or error).strip().rstrip(".")
    return f"is no audio that libsndfile can read ({detail}); convert it to FLAC or WAV"


def _blocks(file: soundfile.SoundFile | BufferReader) -> Iterator[NDArray[np.float32]]:
    """Blocks of float32 (samples, channels) until the file really ends, never trusting its header's length."""
    block_samples = mel_frame_start(BLOCK_FRAMES, file.samplerate)
    limit = int(MAX_HOURS * 3600 * file.samplerate)
    done = 0
    while True:
        try:
            block = file.read(block_samples, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, MemoryError) as error:
            detail = str(getattr(error, "error_string", "") or error).strip().rstrip(".")
            raise AudioError(f"is damaged beyond {done / file.samplerate:.0f} s ({detail}); export it again") from error
        if len(block) == 0:
            return
        done += len(block)
        if done > limit:
            raise AudioError(f"lasts over {MAX_HOURS:.0f} hours; cut it into files")
        yield block


def _choose_mixdown(mean: NDArray[np.float64], power: NDArray[np.float64]) -> tuple[Mixdown, list[str]]:
    """The mean of the channels that sound; the loudest alone where the mean would cancel (antiphase)."""
    covariance = power - np.outer(mean, mean)
    energy = np.diagonal(covariance)
    sounding = energy > energy.max() * 1e-6
    weights = sounding / sounding.sum()
    notes = []
    if weights @ covariance @ weights < 0.1 * energy[sounding].mean():
        weights = (np.arange(len(energy)) == energy.argmax()).astype(float)
        notes.append(f"its channels cancel each other; only channel {energy.argmax() + 1} was used")
    offset = float(weights @ mean)
    if abs(offset) > 0.01:
        notes.append(f"a constant offset of {offset:+.2f} was removed")
    return Mixdown(tuple(weights.tolist()), offset), notes


def _levels(
    source: Path | SampleBuffer, rate: int, samples: int, mixdown: Mixdown
) -> tuple[NDArray[np.float32], float]:
    """RMS of each mel frame in dBFS, float32 (frames,), and the peak of the mono signal."""
    edges = np.array([mel_frame_start(frame, rate) for frame in range(mel_frames_covering(samples, rate) + 1)])
    energy = np.zeros(len(edges) - 1)
    position, peak = 0, 0.0
    with _open(source) as file:
        for block in _blocks(file):
            mono = mixdown(block).astype(np.float64)
            peak = max(peak, float(np.abs(mono).max()))
            running = np.concatenate([[0.0], np.cumsum(mono**2)])
            inside = np.clip(edges - position, 0, len(mono))
            energy += np.diff(running[inside])
            position += len(mono)
    return (10 * np.log10(energy / np.maximum(np.diff(edges), 1) + 1e-20)).astype(np.float32), peak
