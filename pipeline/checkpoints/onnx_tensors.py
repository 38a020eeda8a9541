"""The constant tensors of an ONNX file, read without the onnx library (the format: onnx/onnx, onnx.proto).

An ONNX file is a protocol buffer: a sequence of fields, each a number, a kind and a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .regular_files import check_regular

MODEL_GRAPH, GRAPH_INITIALIZER = 7, 5  # field numbers
DIMS, DATA_TYPE, NAME, RAW_DATA = 1, 2, 8, 9  # of a tensor
TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 6: np.dtype("<i4"), 7: np.dtype("<i8"), 11: np.dtype("<f8")}
MOST_BYTES = 256 << 20
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # kinds

Array = NDArray[Any]


def read_onnx_tensors(path: Path) -> dict[str, Array]:
    """The initializers of the file's graph by name: those of float32, float64, int32 and int64.

    Raises:
        ValueError: it is no regular file, no ONNX file, larger than 256 MiB, or its tensors are not stored as raw data.
        OSError: it cannot be read.
    """
    check_regular(path)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} is larger than {MOST_BYTES >> 20} MiB")
    found: dict[str, Array] = {}
    try:
        for number, value in _fields(memoryview(path.read_bytes())):
            if number == MODEL_GRAPH and isinstance(value, memoryview):
                for inner, tensor in _fields(value):
                    if inner == GRAPH_INITIALIZER and isinstance(tensor, memoryview):
                        name, array = _tensor(tensor)
                        found[name] = array
    except (IndexError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is no ONNX file that can be read: {error}") from error
    if not found:
        raise ValueError(f"{path.name} is no ONNX file with tensors")
    return found


def _tensor(data: memoryview) -> tuple[str, Array]:
    dims: list[int] = []
    kind, name, raw = 0, "", memoryview(b"")
    for number, value in _fields(data):
        if number == DIMS:
            dims += [value] if isinstance(value, int) else _varints(value)
        elif number == DATA_TYPE and isinstance(value, int):
            kind = value
        elif number == NAME and isinstance(value, memoryview):
            name = str(value, "utf-8")
        elif number == RAW_DATA and isinstance(value, memoryview):
            raw = value
    if kind not in TYPES:
        raise ValueError(f"expected float32, float64, int32 or int64 as {name}; found data type {kind}")
    array: Array = np.frombuffer(raw, TYPES[kind]).reshape(dims).copy()
    return name, array


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == VARINT:
            number, at = _varint(data, at)
            yield key >> 3, number
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"no field can be of kind {kind}")
        if at + size > len(data):
            raise ValueError("it ends within a field")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
    raise ValueError("a number has more than 10 bytes")


def _varints(data: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found
