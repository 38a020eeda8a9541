"""A zarr v3 shard, as bytes: uncompressed inner chunks, each with its crc32c, and an index behind them.

Byte for byte what zarr-python writes for codecs [bytes, crc32c] inside sharding_indexed (zarr v3 spec, sharding
codec 1.0), assembled in one buffer and read in parts. Chunks past the last used frame are absent.
"""

from __future__ import annotations

from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from .base_folder import View
from .errors import DamagedError
from .schema import INNER_FRAMES, Column, Pack, PackSize

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


def encoded_size(column: Column, pack: Pack, size: PackSize) -> int:
    """How many bytes the shard of a column's values in a pack has."""
    chunks = -(-max(sum(row.place(column.axis)) for row in pack.rows) // INNER_FRAMES)
    chunk = INNER_FRAMES * max(1, column.width) * column.numpy_dtype.itemsize + CRC_BYTES
    return chunks * chunk + size.of(column.axis) // INNER_FRAMES * 16 + CRC_BYTES


class Shard:
    """A shard, read through a view of its file.

    Every inner chunk's checksum is verified before its first frame is returned; only once if the view is of memory.
    """

    def __init__(self, view: View, where: str, dtype: np.dtype[Any], frame_shape: tuple[int, ...], shard_frames: int):
        self.where = where
        self._view, self._dtype, self._frame_shape = view, dtype, frame_shape
        slots = shard_frames // INNER_FRAMES
        index_bytes, length = slots * 16, len(view)
        if length < index_bytes + CRC_BYTES:
            raise DamagedError(f"{where} is damaged: {length} bytes are less than its index takes")
        tail = bytes(view[length - index_bytes - CRC_BYTES : length])
        if _crc(tail[:-CRC_BYTES]) != tail[-CRC_BYTES:]:
            raise DamagedError(f"{where} is damaged: its index does not match its checksum")
        index = np.frombuffer(tail, "<u8", slots * 2).reshape(slots, 2)
        self._frame_bytes = np.empty((1, *frame_shape), dtype).strides[0]
        self._chunk_bytes = self._frame_bytes * INNER_FRAMES + CRC_BYTES
        present = int((index[:, 0] != ABSENT).sum())
        expected = np.full_like(index, ABSENT)
        expected[:present, 0] = np.arange(present) * self._chunk_bytes
        expected[:present, 1] = self._chunk_bytes
        if not np.array_equal(index, expected) or length != present * self._chunk_bytes + len(tail):
            raise DamagedError(f"{where} is damaged: its index does not describe its chunks")
        self.frames = present * INNER_FRAMES
        self._verified = bytearray(present)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """A copy of frames [start, stop): (frames, width) or (frames,). Raises DamagedError by checksum."""
        if not 0 <= start <= stop <= self.frames:
            raise DamagedError(f"{self.where} is damaged: frames {start} to {stop} asked for, {self.frames} held")
        first, last = start // INNER_FRAMES, -(-stop // INNER_FRAMES)
        size, frame = self._chunk_bytes, self._frame_bytes
        data = self._view[first * size : last * size] if last > first else b""
        out: NDArray[Any] = np.empty((stop - start, *self._frame_shape), self._dtype)
        into, at = out.reshape(-1).view(np.uint8).data, 0
        for number in range(first, last):
            begin = (number - first) * size
            if not self._verified[number]:
                self._verify(number, bytes(data[begin : begin + size]))
            low = max(0, start - number * INNER_FRAMES) * frame
            high = min(INNER_FRAMES, stop - number * INNER_FRAMES) * frame
            into[at : at + high - low] = data[begin + low : begin + high]
            at += high - low
        return out

    def _verify(self, number: int, data: bytes) -> None:
        if _crc(data[:-CRC_BYTES]) != data[-CRC_BYTES:]:
            raise DamagedError(f"{self.where} is damaged: inner chunk {number} does not match its checksum")
        self._verified[number] = isinstance(self._view, memoryview)  # chunks that are fetched again are verified again


def _crc(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(CRC_BYTES, "little")
