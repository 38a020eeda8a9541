"""Tensors of an ONNX file, against the onnx library where it is installed, and files that are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from svc.pipeline.checkpoints.onnx_tensors import read_onnx_tensors
from svc.pipeline.pitch.tracker import file_hash, package_file


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def onnx_file(tensors: dict[str, np.ndarray], kinds: dict[str, int]) -> bytes:
    graph = b""
    for name, array in tensors.items():
        tensor = b"".join(varint(1 << 3) + varint(size) for size in array.shape)
        tensor += varint(2 << 3) + varint(kinds[array.dtype.name]) + field(8, name.encode()) + field(9, array.tobytes())
        graph += field(5, tensor)
    return varint(1 << 3) + varint(8) + field(7, field(2, b"graph") + graph)


KINDS = {"float32": 1, "int32": 6, "int64": 7, "float64": 11, "float16": 10}


def test_tensors_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors: dict[str, NDArray[Any]] = {
        "a": rng.standard_normal((200, 3, 2)).astype(np.float32),
        "b": rng.standard_normal(5),
        "c": np.array([[1, -2]], np.int64),
        "d": np.array(7, np.int32),
    }
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_file(tensors, KINDS))
    found = read_onnx_tensors(path)
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_swift_f0_s_own_file_is_read_as_onnx_reads_it() -> None:
    onnx = pytest.importorskip("onnx")
    path = package_file("swift_f0", "model.onnx", "swift-f0", "dio")
    found = read_onnx_tensors(path)
    truth = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(str(path)).graph.initializer}
    assert found.keys() == truth.keys()
    assert all(np.array_equal(found[name], truth[name]) for name in truth)
    assert len(file_hash(path)) == 64


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    whole = onnx_file({"a": np.ones(3, np.float32)}, KINDS)
    wrong = {
        "no ONNX file with tensors": b"",
        "ends within a field": whole[:-2],
        "no field can be of kind": b"\x0b" + whole,
        "found data type 10": onnx_file({"a": np.ones(3, np.float16)}, KINDS),
        "more than 10 bytes": b"\xff" * 20,
    }
    for number, (message, data) in enumerate(wrong.items()):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message):
            read_onnx_tensors(path)
    os.mkfifo(tmp_path / "fifo.onnx")
    with pytest.raises(ValueError, match="found a FIFO"):
        read_onnx_tensors(tmp_path / "fifo.onnx")
