"""Packets between the server and the process that converts live: their kind, their length, their payload."""

from __future__ import annotations

import asyncio
import struct
from enum import StrEnum
from typing import BinaryIO

HEADER = struct.Struct("<cI")
LARGEST = 1 << 20  # bytes of a payload


class Kind(StrEnum):
    """The kind of a packet's payload."""

    sound = "S"  # samples, float32 little-endian at 44.1 kHz, mono
    record = "J"  # a JSON record


Packet = tuple[Kind, bytes]


def packed(kind: Kind, payload: bytes) -> bytes:
    """A packet as bytes."""
    return HEADER.pack(kind.value.encode(), len(payload)) + payload


def _size(header: bytes) -> tuple[Kind, int]:
    """Raises ValueError for what is not a packet's header."""
    kind, size = HEADER.unpack(header)
    if size > LARGEST:
        raise ValueError(f"a packet has up to {LARGEST} bytes, not {size}")
    return Kind(kind.decode("latin-1")), size


def read(stream: BinaryIO) -> Packet:
    """The next packet. Raises EOFError at the end of the stream."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    kind, size = _size(header)
    payload = stream.read(size)
    if len(payload) < size:
        raise EOFError
    return kind, payload


async def receive(stream: asyncio.StreamReader) -> Packet:
    """The next packet. Raises EOFError at the end of the stream."""
    kind, size = _size(await stream.readexactly(HEADER.size))
    return kind, await stream.readexactly(size)
