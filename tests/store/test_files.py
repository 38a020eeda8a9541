"""Files that are whole or absent, and JSON whose checksum detects changes."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from svc.common.canonical_json import canonical, digest
from svc.common.files import write_whole
from svc.store import DamagedError, MissingError, checksummed_json
from svc.store.local import LocalFolder

VALUE: dict[str, Any] = {
    "rate": 86.1328125,
    "name": "hidden/7",
    "n": 12,
    "none": None,
    "ok": True,
    "l": [1, -2],
    "ü": "ß",
}


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    checksummed_json.write_checksummed(LocalFolder(path.parent), path.name, value)


def read_sealed(path: Path) -> dict[str, Any]:
    return checksummed_json.read_checksummed(LocalFolder(path.parent), path.name)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Writes beyond `size` bytes really fail, in the kernel, with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def failing(error: BaseException) -> Any:
    def fail(*args: Any, **kwargs: Any) -> NoReturn:
        raise error

    return fail


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000])
def test_writes_all_bytes_and_leaves_nothing_beside_them(tmp_path: Path, data: bytes) -> None:
    write_whole(tmp_path / "deep" / "er" / "file", data)
    assert (tmp_path / "deep" / "er" / "file").read_bytes() == data
    assert names(tmp_path / "deep" / "er") == ["file"]


def test_replaces_what_was_there(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"old, and longer than the new")
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


ERRORS = [OSError(errno.ENOSPC, "no space left"), OSError(errno.EIO, "input/output error"), KeyboardInterrupt()]


@pytest.mark.parametrize("error", ERRORS, ids=["ENOSPC", "EIO", "ctrl-c"])
@pytest.mark.parametrize(("owner", "call"), [(os, "fsync"), (Path, "replace")], ids=["fsync", "rename"])
@pytest.mark.parametrize("old", [b"old", None], ids=["replacing", "new"])
def test_failed_write_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, call: str, error: BaseException, old: bytes | None
) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    monkeypatch.setattr(owner, call, failing(error))
    with pytest.raises(type(error)):
        write_whole(path, b"new")
    monkeypatch.undo()
    assert names(tmp_path) == ([] if old is None else ["file"])
    assert old is None or path.read_bytes() == old


def test_write_that_the_kernel_refuses_half_way_leaves_the_old_content(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"old")
    with file_size_limit(100_000), pytest.raises(OSError, match="too large"):
        write_whole(tmp_path / "file", bytes(200_000))
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_data_is_synced_before_the_rename_and_the_folder_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a crash of the machine: content is synced before the rename, then the folder is synced."""
    done: list[tuple[str, int, bool]] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        done.append(("sync", os.fstat(descriptor).st_ino, (tmp_path / "file").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    write_whole(tmp_path / "file", b"new")
    content, folder = (tmp_path / "file").stat().st_ino, tmp_path.stat().st_ino
    assert done == [("sync", content, False), ("sync", folder, True)]


def test_folders_that_are_made_are_synced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's own name lies in the one above it."""
    done: list[int] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        done.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    write_whole(tmp_path / "c" / "3" / "0", b"new")
    folders = [folder.stat().st_ino for folder in (tmp_path, tmp_path / "c", tmp_path / "c" / "3")]
    assert set(folders) <= set(done)
    done.clear()
    write_whole(tmp_path / "c" / "3" / "1", b"new")
    assert done == [(tmp_path / "c" / "3" / "1").stat().st_ino, folders[2]]


def test_failing_to_sync_the_folder_is_told_and_the_file_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svc.common.files.sync_folder", failing(OSError(errno.EIO, "input/output error")))
    write = pytest.raises(OSError, match="Input/output error")
    with write:
        write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_canonical_is_one_ascii_spelling() -> None:
    assert canonical({"b": [1.5, None], "a": "é"}) == b'{"a":"\\u00e9","b":[1.5,null]}'
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_canonical_refuses_what_is_not_json(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": number})


def test_digest_is_the_sha256_of_the_canonical_json() -> None:
    """Truth: printf '{"a":1}' | sha256sum."""
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


def test_sealed_value_comes_back(tmp_path: Path) -> None:
    write_sealed(tmp_path / "a.json", VALUE)
    assert read_sealed(tmp_path / "a.json") == VALUE
    write_sealed(tmp_path / "a.json", {})
    assert read_sealed(tmp_path / "a.json") == {}


def test_every_flipped_bit_of_a_sealed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed(path, VALUE)
    data = path.read_bytes()
    unnoticed = []
    for at in range(len(data) * 8):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        path.write_bytes(changed)
        try:
            read_sealed(path)
        except DamagedError:
            continue
        unnoticed.append((at // 8, at % 8))
    assert unnoticed == []


@pytest.mark.parametrize("byte", b'0"{[,:N \n')
def test_every_byte_made_another_one_is_noticed(tmp_path: Path, byte: int) -> None:
    path = tmp_path / "a.json"
    write_sealed(path, VALUE)
    data = path.read_bytes()
    for at in range(len(data)):
        if data[at] != byte:
            path.write_bytes(data[:at] + bytes([byte]) + data[at + 1 :])
            with pytest.raises(DamagedError):
                read_sealed(path)


def test_number_that_became_infinite_is_noticed(tmp_path: Path) -> None:
    """One byte of the frame rate changed: valid JSON, which Python reads as infinity."""
    path = tmp_path / "a.json"
    write_sealed(path, VALUE)
    path.write_bytes(path.read_bytes().replace(b"86.1328125", b"86e1328125"))
    with pytest.raises(DamagedError):
        read_sealed(path)


def test_every_truncation_of_a_sealed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed(path, VALUE)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(DamagedError):
            read_sealed(path)


@pytest.mark.parametrize("more", [b"\n", b" ", b"\0", b"{}"])
def test_added_bytes_are_noticed(tmp_path: Path, more: bytes) -> None:
    path = tmp_path / "a.json"
    write_sealed(path, VALUE)
    path.write_bytes(path.read_bytes() + more)
    with pytest.raises(DamagedError):
        read_sealed(path)


def test_another_spelling_of_the_same_json_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed(path, VALUE)
    path.write_bytes(path.read_bytes().replace(b'"n":12', b'"n": 12'))
    with pytest.raises(DamagedError):
        read_sealed(path)


@pytest.mark.parametrize(
    "data", [b"1\n", b'"seal"\n', b"null\n", b"{}\n", b'{"seal":1}\n', b"[" * 100_000, b"9" * 5000]
)
def test_json_that_was_never_sealed_is_damaged(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(DamagedError):
        read_sealed(tmp_path / "a.json")


def test_json_list_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"[]\n")
    with pytest.raises(DamagedError):
        read_sealed(tmp_path / "a.json")


def test_missing_sealed_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"a\.json does not exist"):
        read_sealed(tmp_path / "a.json")
