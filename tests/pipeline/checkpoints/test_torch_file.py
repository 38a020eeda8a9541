"""Checkpoints of torch.save: their content, and malicious ones, refused before memory or time is spent."""

from __future__ import annotations

import io
import os
import pickle
import resource
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from svc.pipeline.checkpoints.pickles import Inert
from svc.pipeline.checkpoints.torch_file import read_checkpoint_file
from torch import Tensor, nn

LEGACY = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


def write(path: Path, found: Any, legacy: bool = False) -> Path:
    torch.save(found, path, _use_new_zipfile_serialization=not legacy)
    return path


def assert_equal(got: Any, truth: Any) -> None:
    if isinstance(truth, Tensor):
        assert got.dtype == truth.dtype
        assert torch.equal(got, truth)
    elif isinstance(truth, dict):
        assert list(got) == list(truth)
        for key in truth:
            assert_equal(got[key], truth[key])
    elif isinstance(truth, list | tuple):
        assert type(got) is type(truth)
        for one, other in zip(got, truth, strict=True):
            assert_equal(one, other)
    else:
        assert got == truth


@LEGACY
def test_what_is_saved_is_read(tmp_path: Path, legacy: bool) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    found = {
        "views": [base, base.T, base[1:3, ::2], base[:, 5]],
        "kinds": [
            torch.ones(3, dtype=d) for d in (torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.uint8)
        ],
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "weight": torch.arange(3.0),
        "plain": [1, -70_000, 2**40, 2.5, None, True, "텍스트", b"bytes", (1, (2, "x")), {"a": {1: 2}}, {3, 4}],
        "ordered": OrderedDict(a=1, b=OrderedDict(c=2)),
        (1, "key"): torch.float32,
    }
    assert_equal(read_checkpoint_file(write(tmp_path / "c.pt", found, legacy)), found)


def test_a_module_s_state_and_its_parameters_are_tensors(tmp_path: Path) -> None:
    layer = nn.Linear(3, 2)
    state = read_checkpoint_file(write(tmp_path / "c.pt", layer.state_dict()))
    assert_equal(dict(state), dict(layer.state_dict()))
    parameter = read_checkpoint_file(write(tmp_path / "p.pt", [nn.Parameter(torch.ones(2))]))
    assert torch.equal(parameter[0], torch.ones(2))


def test_what_is_read_is_a_copy_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "c.pt", {"a": torch.zeros(5)})
    before = path.read_bytes()
    read_checkpoint_file(path)["a"].add_(1)
    assert path.read_bytes() == before


def test_other_protocols_of_pickle(tmp_path: Path) -> None:
    found = {"a": torch.ones(2), "b": "x" * 300, "c": {1, 2}, "d": b"y" * 300}
    for protocol in (2, 3, 4):
        torch.save(found, tmp_path / "c.pt", pickle_protocol=protocol)
        assert_equal(read_checkpoint_file(tmp_path / "c.pt"), found)


@LEGACY
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_what_is_not_known_is_inert(tmp_path: Path, legacy: bool) -> None:
    sparse = torch.sparse_coo_tensor(torch.tensor([[0, 2]]), torch.ones(2), (3,), check_invariants=True)
    for value in (sparse, torch.ones(2, device="meta"), nn.Linear(1, 1)):
        assert isinstance(read_checkpoint_file(write(tmp_path / "c.pt", [value], legacy))[0], Inert)


class Call:
    """Pickled, it is a call of `function` with `args`."""

    def __init__(self, function: Callable[..., Any], *args: Any):
        self.call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@LEGACY
@pytest.mark.parametrize("function", [bytearray, torch.zeros, torch.FloatTensor, torch.Tensor, os.mkdir])
def test_nothing_is_called(tmp_path: Path, legacy: bool, function: Callable[..., Any]) -> None:
    found = read_checkpoint_file(write(tmp_path / "c.pt", [Call(function, 10**13)], legacy))[0]
    assert isinstance(found, Inert)
    assert found.args == (10**13,)


# Files that would take memory or time


def refused_quickly(path: Path, message: str) -> None:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(ValueError, match=message):
        read_checkpoint_file(path)
    assert time.perf_counter() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB


def zipped(
    path: Path, data: bytes, compression: int = zipfile.ZIP_STORED, entries: Mapping[str, bytes] | None = None
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", b"3\n")
        for name, held in (entries or {}).items():
            archive.writestr(f"archive/data/{name}", held)
    return path


def legacy_file(path: Path, data: bytes) -> Path:
    whole = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(part, whole, 2)
    path.write_bytes(whole.getvalue() + data + pickle.dumps([], 2))
    return path


NESTED = b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 60  # a tuple of 2^60 items, under number 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (NESTED + b"}h\x00K\x01s.", "a key is a nested or long tuple"),
        (NESTED + b"\x8f(h\x00\x90.", "a key is a nested or long tuple"),
        (NESTED + b"c__builtin__\nset\n]h\x00a\x85R.", "a key is a nested or long tuple"),
        (NESTED + b"ccollections\nOrderedDict\n]h\x00N\x86a\x85R.", "a key is a nested or long tuple"),
        (NESTED + b"0.", "opcode b'0'"),
        (NESTED + b"h\x00Q.", "a persistent id is no storage|a storage is where none"),
        (b"\x80\x02" + b"}" * 2_000_000 + b".", "more than 1,000,000 opcodes"),
        (b"\x80\x02X\xff\xff\xff\x7fa.", "it ends after"),
        (b"\x80\x02h\x05.", "does not fit"),
        (b"\x80\x02\x85.", "a tuple lacks items"),
        (b"\x80\x02R.", "does not fit"),
        (b"\x80\x02cposix\nsystem", "a name in it has no end|it ends after"),
        (b"\x80\x02}K\x01K\x02e.", "does not fit"),
    ],
)
def test_hostile_pickles_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    refused_quickly(zipped(tmp_path / "zip.pt", data), message)
    refused_quickly(legacy_file(tmp_path / "legacy.pt", data), message)


def test_a_compressed_file_is_refused(tmp_path: Path) -> None:
    """784 kB that would expand to 768 MiB, in the weights; and in the pickle."""
    tensor, written = tmp_path / "t.pt", tmp_path / "deflated.pt"
    write(tensor, {"a": torch.zeros(1)})
    with zipfile.ZipFile(tensor) as archive:
        data = archive.read("t/data.pkl")
    refused_quickly(zipped(written, data, zipfile.ZIP_DEFLATED, {"0": bytes(768 << 20)}), "it is compressed")
    assert written.stat().st_size < 1 << 20
    refused_quickly(zipped(written, b"\x80\x02" + b"}" * 10_000_000, zipfile.ZIP_DEFLATED), "it is compressed")


def test_tensors_larger_than_their_storage_are_refused(tmp_path: Path) -> None:
    refused_quickly(write(tmp_path / "c.pt", torch.zeros(1).expand(10**6, 10**6)), "beyond its storage of 1 elements")
    shared = torch.zeros(1_000_000)
    refused_quickly(write(tmp_path / "c.pt", [shared.view(1000, n, -1) for n in (1, 2, 4, 5, 8)]), "4 times over")
    storage = torch.arange(8.0)
    with zipfile.ZipFile(write(tmp_path / "t.pt", storage)) as archive:
        data = archive.read("t/data.pkl")
    refused_quickly(zipped(tmp_path / "short.pt", data, entries={"0": bytes(31)}), "storage '0' is missing or short")
    refused_quickly(zipped(tmp_path / "none.pt", data), "storage '0' is missing or short")
    negative = data.replace(b"K\x08\x85", b"J\xff\xff\xff\xff\x85")  # its size, not that of its storage
    refused_quickly(zipped(tmp_path / "n.pt", negative, entries={"0": bytes(32)}), "a tensor has the size")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.pt")
    (tmp_path / "link.pt").symlink_to("/dev/zero")
    refused_quickly(tmp_path / "fifo.pt", "expected a regular file as fifo.pt; found a FIFO")
    refused_quickly(tmp_path / "link.pt", "expected a regular file as link.pt; found a device")
    refused_quickly(tmp_path, "found a folder")
