"""Writing a store: cells whole or absent, receipts last, and a run that was stopped goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pytest
from svc.store import MissingError, open_store
from svc.store.folder import Folder
from svc.store.packs import NewRow
from svc.store.schema import MEL, Column, PackSize
from svc.store.writer import open_writer

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]
Tree = Callable[[Path | Folder], dict[str, bytes]]

SIZE = PackSize(unit=1024, mel=1920)
IDENTITY: dict[str, Any] = {"mel_frame_rate": 44100 / 512, "slicing": {"longest": 20.0}}
F0 = Column("f0", MEL, "float32", 0, "Hz", {"method": "harvest", "limits": {"floor": 65.0, "ceiling": 1100.0}})

ON_DISK = pytest.mark.parametrize("sample", ["local"], indirect=True)


def few(pieces: dict[str, NewRow], count: int = 10) -> dict[str, NewRow]:
    return dict(list(pieces.items())[:count])


def raising(*args: Any, **kwargs: Any) -> NoReturn:
    raise OSError(errno.EIO, "input/output error")


@ON_DISK
def test_cells_are_missing_until_they_are_put(sample: Sample, tmp_path: Path, cell: Run, extract: Run) -> None:
    extract(tmp_path / "a", columns=[])
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_columns(sample.columns)
        left = {column.name: [0, 1, 2] for column in sample.columns}
        for number in (1, 2, 0):
            for column in sample.columns:
                assert {c.name: writer.missing(c) for c in sample.columns} == left
                cell(writer, column, writer.packs[number], {})
                left[column.name].remove(number)
        assert all(writer.missing(column) == [] for column in sample.columns)


@ON_DISK
def test_packs_that_hold_nothing_of_the_corpus_are_not_missing(sample: Sample, tmp_path: Path, extract: Run) -> None:
    extract(tmp_path / "a", columns=[])
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_utterances([u for u in writer.utterances if u.pack != 1])
        assert writer.missing(sample.columns[0]) == [0, 2]
        writer.set_utterances([])
        assert writer.missing(sample.columns[0]) == []


@pytest.mark.parametrize("damage", ["no shard", "short shard", "empty shard", "no receipt", "bad receipt"])
def test_cell_that_is_not_whole_is_missing(copy: Sample, damage: str, flip: Run) -> None:
    column = copy.columns[0]
    shard, receipt = copy.at.shard(column, 1), copy.at.receipt(column.name, 1)
    match damage:
        case "no shard":
            shard.unlink()
        case "short shard":
            shard.write_bytes(shard.read_bytes()[:-1])
        case "empty shard":
            shard.write_bytes(b"")
        case "no receipt":
            receipt.unlink()
        case _:
            flip(receipt, np.random.default_rng(0))
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        assert {c.name: writer.missing(c) for c in copy.columns if writer.missing(c)} == {column.name: [1]}


def test_receipts_count_only_for_their_pack_and_column(copy: Sample) -> None:
    """A receipt copied from elsewhere, seal and all, is no receipt."""
    one, other = copy.columns[:2]
    copy.at.receipt(one.name, 0).write_bytes(copy.at.receipt(one.name, 1).read_bytes())
    copy.at.receipt(one.name, 2).write_bytes(copy.at.receipt(other.name, 2).read_bytes())
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        assert writer.missing(one) == [0, 2]


def test_receipt_is_written_after_its_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extract: Run) -> None:
    """At every moment, whatever has a receipt has a whole shard."""
    replaced: list[str] = []
    rename = Path.replace

    def spy(self: Path, target: Path) -> Path:
        replaced.append(str(Path(target).relative_to(tmp_path / "a")))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    extract(tmp_path / "a")
    receipts = [name for name in replaced if name.startswith("ledger/receipts/")]
    assert len(receipts) == 18
    for name in receipts:
        column, pack = name.removeprefix("ledger/receipts/").removesuffix(".json").rsplit("/", 1)
        shards = [n for n in replaced[: replaced.index(name)] if n.startswith(f"{column}/c/{int(pack)}")]
        assert len(shards) == 1


def test_crash_between_shard_and_receipt_loses_that_cell_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extract: Run, tree: Tree
) -> None:
    extract(tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr("svc.store.writer.write_receipt", raising)
        with pytest.raises(OSError, match="input/output"):
            extract(tmp_path / "a")
    assert (tmp_path / "a" / "hidden" / "7" / "c" / "0" / "0").is_file()
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        assert writer.missing(writer.columns["hidden/7"]) == [0, 1, 2]
    with pytest.raises(MissingError):
        open_store(tmp_path / "a").read("hidden/7", 0, 0)
    extract(tmp_path / "a")
    assert tree(tmp_path / "a") == tree(tmp_path / "whole")


def failing_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, but for its call number `call` and all after it: the disk is full, or the machine is off."""
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > call:
            raise OSError(errno.ENOSPC, "no space left on device")
        return function(*args, **kwargs)

    return wrapped


def tidy_nothing(unlink: Callable[..., None]) -> Callable[..., None]:
    """A process that is dead removes none of its leftovers."""

    def only_others(self: Path, missing_ok: bool = False) -> None:
        if not self.name.startswith("."):
            unlink(self, missing_ok)

    return only_others


@pytest.mark.parametrize(
    ("owner", "name"),
    [(os, "fsync"), (Path, "replace")],
    ids=["sync", "rename"],
)
@ON_DISK
def test_stopped_at_any_write_and_run_again_is_the_uninterrupted_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Sample, extract: Run, tree: Tree,
    pieces: dict[str, NewRow], owner: Any, name: str,
) -> None:  # fmt: skip
    """For every k, the k-th write and all that follow fail; nobody tidies up; then the same is run again.

    In between, no reader sees a value that is not true.
    """
    arguments = {"corpus": few(pieces, 12), "columns": [sample.columns[0], sample.columns[3]]}
    extract(tmp_path / "whole", **arguments)
    whole = tree(tmp_path / "whole")
    for call in range(1000):
        root = tmp_path / str(call)
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, failing_at(call, getattr(owner, name)))
            patched.setattr(Path, "unlink", tidy_nothing(Path.unlink))
            try:
                extract(root, **arguments)
            except OSError:
                pass
            else:
                break
        if (root / "ledger" / "utterances.json").exists():
            store = open_store(root)
            for clip in store:
                for column in store.columns.values():
                    if store.has(column.name, clip.utterance.row, clip.utterance.pack):
                        assert np.array_equal(clip.read(column.name), sample.truth(column, clip.row))
        extract(root, **arguments)
        again = tree(root)
        assert again.keys() == whole.keys(), call
        assert {path for path in whole if again[path] != whole[path]} == set(), call
    assert 5 < call < 999


def test_running_again_changes_no_byte(copy: Sample, extract: Run, tree: Tree) -> None:
    before = tree(copy.root)
    extract(copy.root, removed=["alto/gone"])
    assert tree(copy.root) == before


@ON_DISK
def test_two_stores_of_one_corpus_are_equal(sample: Sample, tmp_path: Path, extract: Run, tree: Tree) -> None:
    extract(tmp_path / "a", removed=["alto/gone"])
    assert tree(tmp_path / "a") == tree(sample.root)


@ON_DISK
def test_growing_keeps_every_shard_and_receipt(
    sample: Sample, tmp_path: Path, extract: Run, tree: Tree, pieces: dict[str, NewRow]
) -> None:
    """What is there is not rewritten, what is new goes into new packs, and both are read."""
    root = tmp_path / "a"
    extract(root, corpus=few(pieces), columns=sample.columns[:4])
    cells = [path for path in tree(root) if "/c/" in path or path.startswith(("ledger/packs", "ledger/receipts"))]
    before = {path: (root / path).stat().st_mtime_ns for path in cells if "row_size" not in path}
    extract(root, columns=sample.columns)
    assert {path: (root / path).stat().st_mtime_ns for path in before} == before
    store = open_store(root)
    assert len(store) == len(pieces)
    for clip in store:
        for column in sample.columns:
            assert np.array_equal(clip.read(column.name), sample.truth(column, clip.row))


def test_stopped_run_and_uninterrupted_one_agree_on_the_order_of_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tree: Tree
) -> None:
    """Stopped after the column's own file is there, and before zarr's."""
    assert list(F0.settings) != sorted(F0.settings)
    with open_writer(tmp_path / "whole", SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
    with monkeypatch.context() as patched, open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        patched.setattr("svc.store.writer.write_arrays", raising)
        with pytest.raises(OSError, match="input/output"):
            writer.set_columns([F0])
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
    assert tree(tmp_path / "a") == tree(tmp_path / "whole")
