"""Faults of the system below a store: failing calls, full disks, writes lost in a power cut.

After each, what was acknowledged is there, nothing that is not true can be read, and the same run again gives the store
of a run that was never disturbed.
"""

from __future__ import annotations

import errno
import os
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from svc.store import StoreError, open_store
from svc.store.folder import Folder
from svc.store.local import LocalFolder
from svc.store.packs import NewRow
from svc.store.receipts import Receipt
from svc.store.writer import Writer

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]
Tree = Callable[[Path | Folder], dict[str, bytes]]
Tally = Callable[..., None]
Cell = tuple[str, int]  # a column, and a pack

pytestmark = [pytest.mark.torture, pytest.mark.parametrize("sample", ["local"], indirect=True)]
LONG = [pytest.mark.long]


@pytest.fixture
def quick() -> Iterator[Path]:
    """A folder in memory where there is one: these tests do not test the disk itself."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        yield Path(name)


@pytest.fixture
def small(sample: Sample, pieces: dict[str, NewRow]) -> dict[str, Any]:
    """What is extracted: 12 utterances into a column on each axis, two packs."""
    return {"corpus": dict(list(pieces.items())[:12]), "columns": [sample.columns[0], sample.columns[3]]}


@contextmanager
def acknowledged(done: Callable[[Receipt], None]) -> Iterator[None]:
    """Calls `done` with each receipt once the writer has it on disk."""
    real = Writer.accept

    def accept(self: Writer, receipt: Receipt) -> None:
        real(self, receipt)
        done(receipt)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Writer, "accept", accept)
        yield


def into(cells: set[Cell]) -> Callable[[Receipt], None]:
    return lambda receipt: cells.add((receipt.column, receipt.pack))


def look(root: Path, sample: Sample, cells: set[Cell]) -> dict[str, int]:
    """How many of the acknowledged cells are lost, and how many values that are read are wrong."""
    try:
        store = open_store(root)
    except StoreError:
        return {"lost": len(cells), "torn": 0}
    lost, torn = set(cells), 0
    for number, pack in enumerate(store.packs):
        for column in store.columns.values():
            try:
                values = [store.read(column.name, row, number) for row in range(len(pack.rows))]
            except StoreError:
                continue
            lost.discard((column.name, number))
            torn += sum(
                not np.array_equal(value, sample.truth(column, row))
                for value, row in zip(values, pack.rows, strict=True)
            )
    return {"lost": len(lost), "torn": torn}


class Failing(LocalFolder):
    """A folder whose call number `call`, whichever it is, fails; and, if the disk is gone for good, all after it."""

    def __init__(self, root: Path, call: int, error: int, for_good: bool):
        super().__init__(root)
        self.left, self.error, self.for_good = call, error, for_good

    def _tick(self) -> None:
        self.left -= 1
        if self.left == -1 or (self.left < 0 and self.for_good):
            raise OSError(self.error, os.strerror(self.error))


def _counted(name: str) -> Callable[..., Any]:
    def method(self: Failing, *arguments: Any) -> Any:
        self._tick()
        return getattr(LocalFolder, name)(self, *arguments)

    return method


for _name in ("read", "write", "remove", "size", "files", "entries", "view", "sha256", "lock", "tidy"):
    setattr(Failing, _name, _counted(_name))


@pytest.mark.parametrize(
    ("error", "for_good"),
    [
        (errno.ENOSPC, False),
        (errno.EIO, True),
        pytest.param(errno.ENOSPC, True, marks=LONG),
        pytest.param(errno.EIO, False, marks=LONG),
    ],
)
def test_every_call_fails_in_turn(
    quick: Path, sample: Sample, small: dict[str, Any], extract: Run, tree: Tree, tally: Tally,
    error: int, for_good: bool,
) -> None:  # fmt: skip
    extract(quick / "whole", **small)
    whole = tree(quick / "whole")
    for call in range(10_000):
        root = quick / str(call)
        cells: set[Cell] = set()
        with acknowledged(into(cells)):
            try:
                extract(Failing(root, call, error, for_good), **small)
            except OSError as raised:
                told = raised.errno
            else:
                break
        counts = look(root, sample, cells)
        extract(root, **small)
        same = tree(root) == whole
        tally(f"{errno.errorcode[error]} at the k-th call, every k", tries=1, **counts, repaired=int(same))
        assert (told, counts, same) == (error, {"lost": 0, "torn": 0}, True), call
    assert 50 < call < 9999


@pytest.mark.parametrize("tries", [10, pytest.param(150, marks=LONG)])
def test_a_full_file_system(
    tmp_path: Path, sample: Sample, small: dict[str, Any], extract: Run, tree: Tree, tally: Tally, tries: int
) -> None:
    """A real one, of all sizes up to the one that is enough; once it is larger the run goes on."""
    extract(tmp_path / "whole", **small)
    whole = tree(tmp_path / "whole")
    enough = sum(-(-len(data) // 4096) * 4096 for data in whole.values())
    disk = tmp_path / "disk"
    disk.mkdir()
    full = 0
    for number in range(tries):
        size = 4096 * max(2, enough * number // tries // 4096)
        mount(disk, size)
        try:
            cells: set[Cell] = set()
            with acknowledged(into(cells)):
                try:
                    extract(disk / "s.zarr", **small)
                except OSError as error:
                    full += error.errno == errno.ENOSPC
            counts = look(disk / "s.zarr", sample, cells)
            subprocess.run(["mount", "-o", f"remount,size={4 * enough}", str(disk)], check=True)
            extract(disk / "s.zarr", **small)
            same = tree(disk / "s.zarr") == whole
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
        tally("file system full", tries=1, **counts, repaired=int(same))
        assert (counts, same) == ({"lost": 0, "torn": 0}, True), size
    assert full > tries // 2


def mount(disk: Path, size: int) -> None:
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("a small file system of its own needs `mount`, which is not here")
    if done.returncode:
        pytest.skip(f"a small file system of its own needs the right to mount one: {done.stderr.strip()}")


@dataclass
class File:
    """A file's content, and the part of it that is synced."""

    data: bytes = b""
    synced: bytes | None = None


@dataclass
class Disk:
    """Records all changes of files below a folder, and which are synced, to simulate a power cut later.

    Only what POSIX promises is kept: a file's bytes once the file was synced; its name, or that it has none any more,
    once its folder was synced.
    """

    root: Path
    events: list[tuple[Any, ...]] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        fsync, mkdir, replace, unlink = os.fsync, os.mkdir, Path.replace, Path.unlink

        def watched_fsync(descriptor: int) -> None:
            fsync(descriptor)
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            self._note("sync folder", path) if path.is_dir() else self._note("sync", path, path.read_bytes())

        def watched_mkdir(path: Any, *arguments: Any) -> None:
            mkdir(path, *arguments)
            self._note("folder", Path(path))

        def watched_replace(path: Path, target: Path) -> Path:
            data = path.read_bytes()
            done = replace(path, target)
            self._note("rename", path, target, data)
            return done

        def watched_unlink(path: Path, missing_ok: bool = False) -> None:
            there = path.exists()
            unlink(path, missing_ok)
            if there:
                self._note("remove", path)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "fsync", watched_fsync)
            patched.setattr(os, "mkdir", watched_mkdir)
            patched.setattr(Path, "replace", watched_replace)
            patched.setattr(Path, "unlink", watched_unlink)
            yield

    def _note(self, what: str, path: Path, *more: Any) -> None:
        if path.is_relative_to(self.root.parent):
            self.events.append((what, path, *more))

    def cut_power(self, after: int, target: Path, rng: random.Random) -> None:
        """Write into `target` what may be left of the root when the power goes after that many events."""
        synced: dict[Path, dict[str, Any]] = {self.root.parent: {}}  # the names in each folder that the disk has
        names: dict[Path, dict[str, Any]] = {self.root.parent: {}}  # and those that there were
        pending: dict[Path, list[tuple[str, ...] | tuple[str, str, Any]]] = {self.root.parent: []}

        def do(folder: Path, *change: Any) -> None:
            _apply(names[folder], change)
            pending[folder].append(change)

        for what, path, *more in self.events[:after]:
            folder = path.parent
            if what == "folder":
                do(folder, "add", path.name, path)
                synced[path], names[path], pending[path] = {}, {}, []
            elif what == "sync folder":
                for change in pending[path]:
                    _apply(synced[path], change)
                pending[path].clear()
            elif what == "sync":
                if path.name not in names[folder]:
                    do(folder, "add", path.name, File())
                names[folder][path.name].data = names[folder][path.name].synced = more[0]
            elif what == "rename":
                if path.name not in names[folder]:  # never synced
                    do(folder, "add", path.name, File())
                names[folder][path.name].data = more[1]
                do(folder, "rename", path.name, more[0].name)
            elif what == "remove":
                do(folder, "remove", path.name)
        for folder, changes in pending.items():
            for change in changes[: rng.choice([0, len(changes), rng.randint(0, len(changes))])]:
                _apply(synced[folder], change)
        self._lay(synced, self.root, target, rng)

    def _lay(self, synced: dict[Path, dict[str, Any]], folder: Path, target: Path, rng: random.Random) -> None:
        if folder.name in synced.get(folder.parent, {}):
            target.mkdir()
            for name, entry in synced[folder].items():
                if isinstance(entry, File):
                    (target / name).write_bytes(_kept(entry, rng))
                else:
                    self._lay(synced, entry, target / name, rng)


def _apply(names: dict[str, Any], change: Any) -> None:
    what, name, *more = change
    if what == "add":
        names[name] = more[0]
    elif what == "rename":
        names[more[0]] = names.pop(name)
    else:
        names.pop(name, None)


def _kept(file: File, rng: random.Random) -> bytes:
    if file.synced == file.data:
        return file.data
    damage = rng.choice(["lost", "halved", "zeroed"])
    return {"lost": b"", "halved": file.data[: len(file.data) // 2], "zeroed": bytes(len(file.data))}[damage]


def watched(root: Path, small: dict[str, Any], extract: Run) -> Disk:
    """The disk events of an extraction, with "acknowledged" among them."""
    disk = Disk(root)
    with disk.watching(), acknowledged(lambda r: disk.events.append(("acknowledged", root, r.column, r.pack))):
        extract(root, **small)
    return disk


@pytest.mark.parametrize("tries", [20, pytest.param(1000, marks=LONG)])
def test_writes_that_were_not_synced_are_lost_halved_or_zeroed(
    quick: Path, sample: Sample, small: dict[str, Any], extract: Run, tree: Tree, tally: Tally, tries: int
) -> None:
    disk = watched(quick / "s.zarr", small, extract)
    whole = tree(quick / "s.zarr")
    rng = random.Random(7)
    changed = 0
    for number in range(tries):
        after, root = rng.randint(0, len(disk.events)), quick / f"{number}.zarr"
        disk.cut_power(after, root, rng)
        cells = {(event[2], event[3]) for event in disk.events[:after] if event[0] == "acknowledged"}
        counts = look(root, sample, cells)
        changed += tree(root) != whole
        extract(root, **small)
        same = tree(root) == whole
        tally("power cut: unsynced writes lost, halved, zeroed", tries=1, **counts, repaired=int(same))
        assert (counts, same) == ({"lost": 0, "torn": 0}, True), (number, after)
    assert changed > tries // 2


@pytest.mark.parametrize("forgotten", ["sync", "sync folder"])
def test_a_store_that_did_not_sync_would_be_found_out(
    quick: Path, sample: Sample, small: dict[str, Any], extract: Run, forgotten: str
) -> None:
    """Shows that the test above can fail."""
    disk = watched(quick / "s.zarr", small, extract)
    disk.events = [event for event in disk.events if event[0] != forgotten]
    cells = {(event[2], event[3]) for event in disk.events if event[0] == "acknowledged"}
    rng = random.Random(1)
    lost = 0
    for number in range(5):
        disk.cut_power(len(disk.events), quick / f"{number}.zarr", rng)
        lost += look(quick / f"{number}.zarr", sample, cells)["lost"]
    assert lost
