"""A whole store in each kind of place: the same files, read the same way, by svc and by others."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray
from svc.store import DamagedError, MissingError, open_store
from svc.store.folder import Folder
from svc.store.local import LocalFolder
from svc.store.packs import NewRow
from svc.store.remote import Ranges, RemoteFolder
from svc.store.verify import verify

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]
Tree = Callable[[Path | Folder], dict[str, bytes]]

ON_DISK = pytest.mark.parametrize("sample", ["local"], indirect=True)

# Of the files of the sample that are this project's own, by name and content, as they were before stores could lie
# anywhere but on disk. zarr's own depend on its version.
GOLDEN = "dc4a452ef284800a45563844cb9cab115ee4a89b56e2ee79feb8bdf8867cf3ad"


@ON_DISK
def test_files_of_a_store_are_what_they_always_were(sample: Sample, tree: Tree) -> None:
    found = hashlib.sha256()
    for name, data in tree(sample.root).items():
        if not name.endswith("zarr.json") and "row_size" not in name and name != "ledger/arrays.json":
            found.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
    assert found.hexdigest() == GOLDEN


@ON_DISK
def test_store_is_the_same_wherever_it_lies(sample: Sample, place: Folder, extract: Run, tree: Tree) -> None:
    extract(place, removed=["alto/gone"])
    assert tree(place) == tree(sample.root)


@ON_DISK
def test_everything_is_read(place: Folder, sample: Sample, extract: Run) -> None:
    extract(place)
    store = open_store(place)
    for clip in store:
        for column in sample.columns:
            assert np.array_equal(clip.read(column.name), sample.truth(column, clip.row))
            assert np.array_equal(clip.read(column.name, 0, 1), sample.truth(column, clip.row)[:1])
    whole = np.concatenate([sample.truth(sample.columns[3], clip.row) for clip in store])
    assert np.array_equal(store.array("f0").compute(), whole)
    assert store.utterances.complete.all()
    assert verify(store) == []
    assert place.where() in repr(store)
    assert open_store(place.location).location == place.location


@ON_DISK
def test_stopped_and_run_again(place: Folder, sample: Sample, extract: Run, faulty: Any, tree: Tree) -> None:
    """At some writes here, at all of them on disk in test_writer.py."""
    columns = sample.columns[3:]
    for call in (0, 1, 5, 9):
        with pytest.raises(OSError, match="input/output"):
            extract(faulty(place, call), columns=columns, removed=["alto/gone"])
    extract(place, columns=columns, removed=["alto/gone"])
    expected = {n: data for n, data in tree(sample.root).items() if n.startswith(("f0/c", "loudness/c", "mel2ph/c"))}
    found = tree(place)
    assert {n: found[n] for n in expected} == expected
    assert verify(open_store(place)) == []


@ON_DISK
def test_growing(place: Folder, sample: Sample, extract: Run, pieces: dict[str, NewRow]) -> None:
    extract(place, corpus=dict(list(pieces.items())[:10]), columns=sample.columns[:4])
    extract(place, columns=sample.columns)
    store = open_store(place)
    assert len(store) == 21
    assert all(clip.missing() == [] for clip in store)


@ON_DISK
def test_xarray_and_zarr_open_it(place: Folder, sample: Sample, extract: Run) -> None:
    extract(place)
    store = open_store(place)
    row = store.packs[1].rows[2]
    for column in sample.columns:
        offset, length = row.place(column.axis)
        at = store.size.of(column.axis) + offset
        group, _, name = column.name.rpartition("/")
        data = xarray.open_zarr(place.location, group=group or None)[name]
        assert np.array_equal(data[at : at + length].values, sample.truth(column, row))


@ON_DISK
def test_opened_store_is_sent_without_handles(place: Folder, sample: Sample, extract: Run) -> None:
    extract(place)
    store = open_store(place)
    before = len(pickle.dumps(store))
    for clip in store:
        _ = clip.f0, clip.missing()
    sent = pickle.dumps(store)
    assert len(sent) < before + 5000
    there = pickle.loads(sent)
    assert np.array_equal(there[3].f0, store[3].f0)


@pytest.mark.parametrize("start", ["spawn", "forkserver", "fork"])
@ON_DISK
def test_store_is_read_in_another_process(
    bucket: str, tmp_path: Path, sample: Sample, extract: Run, start: str
) -> None:
    import multiprocessing

    extract(RemoteFolder(f"{bucket}{tmp_path}/{start}.zarr"), columns=sample.columns[3:4])
    store = open_store(f"{bucket}{tmp_path}/{start}.zarr")
    assert store[0].f0.size  # handles are open here
    context = multiprocessing.get_context(start)
    # A server of forks that another test began has the environment of then, without the bucket's address.
    environment = {"values": dict(os.environ)}
    with context.Pool(1, exec, ("import os; os.environ.update(values)", environment)) as pool:
        found = pool.apply_async(store.read, ("f0", 0, 1)).get(timeout=60)
    assert np.array_equal(found, sample.truth(sample.columns[3], store.packs[1].rows[0]))


def test_from_a_notebook(bucket: str, tmp_path: Path, extract: Run) -> None:
    extract(RemoteFolder(f"{bucket}{tmp_path}/a.zarr"))
    code = (
        "import sys, svc.store as s; s = s.open_store(sys.argv[1]); print(s[0].f0.shape, s.utterances.complete.all())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"{bucket}{tmp_path}/a.zarr"], capture_output=True, text=True, check=False
    )
    assert done.stdout == "(190,) True\n", done.stderr


def test_reading_a_part_fetches_that_part(bucket: str, tmp_path: Path, extract: Run, monkeypatch: Any) -> None:
    """The index, once, and the inner chunks it lies in."""
    extract(RemoteFolder(f"{bucket}{tmp_path}/a.zarr"))
    store = open_store(f"{bucket}{tmp_path}/a.zarr")
    asked: list[slice] = []
    fetch = Ranges.__getitem__

    def spy(self: Ranges, at: slice) -> bytes:
        asked.append(at)
        return fetch(self, at)

    monkeypatch.setattr(Ranges, "__getitem__", spy)
    chunk = 128 * 128 * 2 + 4
    offset = store["bass/take03"].row.mel_offset
    for _ in range(2):
        store["bass/take03"].read("mel", 5, 10)
    assert len(asked) == 3
    assert asked[0].stop - asked[0].start == 1920 // 128 * 16 + 4
    first, last = (offset + 5) // 128, -(-(offset + 10) // 128)
    assert asked[1] == asked[2] == slice(first * chunk, last * chunk)


@ON_DISK
def test_damage_is_noticed(place: Folder, sample: Sample, extract: Run) -> None:
    """Even when it comes after the chunk was read once, where every read is a request."""
    extract(place, columns=sample.columns[3:4])
    if not isinstance(place, LocalFolder):
        store = open_store(place)
        assert store.read("f0", 0, 0).size
    data = bytearray(place.read("f0/c/0"))
    data[1] ^= 1
    place.write("f0/c/0", bytes(data))
    with pytest.raises(DamagedError):
        open_store(place).read("f0", 0, 0)
    if not isinstance(place, LocalFolder):
        with pytest.raises((DamagedError, MissingError)):
            store.read("f0", 0, 0)
    assert [finding.kind for finding in verify(open_store(place))] == ["damaged"]
    place.remove(["f0/c/0"])
    with pytest.raises(DamagedError, match="gone"):
        open_store(place).read("f0", 0, 0)


@pytest.mark.parametrize("sample", ["memory"], indirect=True)
def test_what_is_fetched_again_is_verified_again(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    store = sample.open()
    assert store.read("f0", 0, 0).size
    fetch = Ranges.__getitem__
    monkeypatch.setattr(Ranges, "__getitem__", lambda self, at: bytes([fetch(self, at)[0] ^ 1]) + fetch(self, at)[1:])
    with pytest.raises(DamagedError):
        store.read("f0", 0, 0)


def test_columns_and_packs_with_hostile_names_are_refused(copy: Sample) -> None:
    """Sealed well, and all digests right: they still lead nowhere else."""
    from svc.common.canonical_json import digest
    from svc.store.checksummed_json import add_checksum, check_checksum

    name = "../../../../etc/x"
    pack = check_checksum(copy.at.pack(1).read_bytes(), "")
    pack["number"] = name
    copy.at.pack(1).write_bytes(add_checksum(pack))
    table = check_checksum(copy.at.utterances.read_bytes(), "")
    table["packs"][1] = digest(pack)
    copy.at.utterances.write_bytes(add_checksum(table))
    with pytest.raises(DamagedError):
        copy.open()
