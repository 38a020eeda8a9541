"""Decoded samples of any length: in memory up to a limit, beyond it in a file without a name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .decoding import AudioFile, open_audio

MEMORY_BYTES = 128 * 2**20  # 12 minutes of mono at 44.1 kHz; what is longer goes to the disk
BYTES = 4  # of a float32 sample


class SampleBuffer:
    """float32 samples (T, channels) at `sample_rate`, appended at the end and read anywhere.

    The file behind it is unnamed: it is deleted when the buffer is closed and when the process ends, in whatever way.

    Args:
        sample_rate: Hz.
        channels: how many.
        folder: where the file lies, if one is needed; None is the system's folder for temporary files.
        memory: bytes that are kept in memory.

    Attributes:
        claimed: how many samples the header of the file that was decoded promised; 0 is unknown.
    """

    def __init__(self, sample_rate: int, channels: int = 1, folder: Path | None = None, memory: int = MEMORY_BYTES):
        self.sample_rate, self.channels = sample_rate, channels
        self._samples, self.claimed = 0, 0
        where = None if folder is None else str(folder)
        self._file = tempfile.SpooledTemporaryFile(max_size=memory, dir=where)  # noqa: SIM115 - `close` closes it

    @classmethod
    def of(cls, wav: NDArray[np.floating], sample_rate: int) -> SampleBuffer:
        """Samples (T,) or (T, channels), copied."""
        block = wav[:, None] if wav.ndim == 1 else wav
        buffer = cls(sample_rate, block.shape[1])
        buffer.append(block)
        return buffer

    def __len__(self) -> int:
        """Samples in each channel."""
        return self._samples

    def append(self, block: NDArray[np.floating]) -> None:
        """Add (n, channels) at the end. Raises OSError where the disk does not take it."""
        assert block.shape[1:] == (self.channels,)
        self._file.seek(self._samples * self.channels * BYTES)
        self._file.write(np.ascontiguousarray(block, np.float32).tobytes())
        self._samples += len(block)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop) as far as there are any: a new array, (n, channels)."""
        start, stop = (min(max(0, place), self._samples) for place in (start, stop))
        self._file.seek(start * self.channels * BYTES)
        data = self._file.read(max(0, stop - start) * self.channels * BYTES)
        return np.frombuffer(data, np.float32).reshape(-1, self.channels).copy()

    def blocks(self, size: int) -> Iterator[NDArray[np.float32]]:
        """All of it, in order, `size` samples at a time: (n, channels)."""
        for start in range(0, self._samples, size):
            yield self.read(start, start + size)

    def open(self) -> BufferReader:
        """A cursor over it, with the methods of an opened sound file."""
        return BufferReader(self)

    def close(self) -> None:
        """Free memory and file."""
        self._file.close()


class BufferReader:
    """Reads a SampleBuffer as `soundfile.SoundFile` reads a file, as far as pipeline.audio needs it."""

    format = "RAW"

    def __init__(self, buffer: SampleBuffer):
        self._buffer, self._at = buffer, 0
        self.samplerate, self.channels, self.frames = buffer.sample_rate, buffer.channels, len(buffer)
        self.claimed = buffer.claimed

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> NDArray[np.float32]:
        """The next samples, at most `frames` of them: float32 (n, channels)."""
        block = self._buffer.read(self._at, self._at + frames)
        self._at += len(block)
        return block

    def seek(self, sample: int) -> int:
        """Go to a sample."""
        self._at = sample
        return sample

    def seekable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """The buffer itself stays open."""

    def __enter__(self) -> BufferReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(source: Path | SampleBuffer) -> AudioFile:
    """The samples of a file, or of a SampleBuffer."""
    return source.open() if isinstance(source, SampleBuffer) else open_audio(source)
