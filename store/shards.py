"""A zarr v3 shard, as bytes: uncompressed inner chunks, each with its crc32c, and an index behind them.

Byte for byte what zarr-python writes for codecs [bytes, crc32c] inside sharding_indexed (zarr v3 spec, sharding
codec 1.0), assembled in one buffer and read through a memory map. Chunks past the last used frame are absent.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from .errors import DamagedError
from .schema import INNER_FRAMES

CRC_BYTES = 4
ABSENT = 2**64 - 1  # offset and length of a chunk that is not in the shard


def encode(frames: NDArray[Any], shard_frames: int) -> bytes:
    """The shard that holds `frames` (n, ...) from its start, little-endian; n <= shard_frames."""
    assert len(frames) <= shard_frames
    chunks = -(-len(frames) // INNER_FRAMES)
    padded = np.zeros((chunks, INNER_FRAMES, *frames.shape[1:]), frames.dtype.newbyteorder("<"))
    padded.reshape(-1, *frames.shape[1:])[: len(frames)] = frames
    size = padded[0].nbytes if chunks else 0
    index = np.full((shard_frames // INNER_FRAMES, 2), ABSENT, "<u8")
    index[:chunks, 0] = np.arange(chunks) * (size + CRC_BYTES)
    index[:chunks, 1] = size + CRC_BYTES
    parts: list[bytes] = []
    for chunk in padded:
        data = chunk.tobytes()
        parts += [data, _crc(data)]
    return b"".join([*parts, index.tobytes(), _crc(index.tobytes())])


class Shard:
    """A shard on disk, memory-mapped. Every inner chunk's checksum is verified before its first frame is handed out."""

    def __init__(self, path: Path, dtype: np.dtype[Any], frame_shape: tuple[int, ...], shard_frames: int):
        self.path = path
        if path.stat().st_size == 0:
            raise DamagedError(f"{path} is damaged: it is empty")
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        slots = shard_frames // INNER_FRAMES
        index_bytes = slots * 16
        if len(self._map) < index_bytes + CRC_BYTES:
            raise DamagedError(f"{path} is damaged: {len(self._map)} bytes are less than its index takes")
        tail = self._map[-(index_bytes + CRC_BYTES) :]
        if _crc(tail[:-CRC_BYTES]) != tail[-CRC_BYTES:]:
            raise DamagedError(f"{path} is damaged: its index does not match its checksum")
        index = np.frombuffer(tail, "<u8", slots * 2).reshape(slots, 2)
        size = int(np.prod(frame_shape, dtype=np.int64)) * INNER_FRAMES * dtype.itemsize
        present = int((index[:, 0] != ABSENT).sum())
        expected = np.full_like(index, ABSENT)
        expected[:present, 0] = np.arange(present) * (size + CRC_BYTES)
        expected[:present, 1] = size + CRC_BYTES
        if not np.array_equal(index, expected) or len(self._map) != present * (size + CRC_BYTES) + len(tail):
            raise DamagedError(f"{path} is damaged: its index does not describe its chunks")
        self.frames = present * INNER_FRAMES
        self._size = size
        strides = np.ndarray((INNER_FRAMES, *frame_shape), dtype).strides
        self._chunks: NDArray[Any] = np.ndarray(
            (present, INNER_FRAMES, *frame_shape),
            dtype,
            buffer=self._map,
            strides=(size + CRC_BYTES, *strides),
        )
        self._verified = np.zeros(present, bool)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """A copy of frames [start, stop). Raises DamagedError for a chunk that does not match its checksum."""
        if not 0 <= start <= stop <= self.frames:
            raise DamagedError(f"{self.path} is damaged: frames {start} to {stop} asked for, {self.frames} held")
        first, last = start // INNER_FRAMES, -(-stop // INNER_FRAMES)
        for number in range(first, last):
            if not self._verified[number]:
                self._verify(number)
        chunks = self._chunks[first:last]
        flat = chunks.reshape(-1, *chunks.shape[2:])
        return np.array(flat[start - first * INNER_FRAMES : stop - first * INNER_FRAMES])

    def _verify(self, number: int) -> None:
        at = number * (self._size + CRC_BYTES)
        data = self._map[at : at + self._size + CRC_BYTES]
        if _crc(data[:-CRC_BYTES]) != data[-CRC_BYTES:]:
            raise DamagedError(f"{self.path} is damaged: inner chunk {number} does not match its checksum")
        self._verified[number] = True


def _crc(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(CRC_BYTES, "little")
