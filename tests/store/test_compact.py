"""Compacting: only unused rows are dropped, nothing is computed, and it may be stopped anywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray
from svc.store import DamagedError, MissingError, Store, StoreError, ledger, open_store
from svc.store.compact import Compacted, compact
from svc.store.folder import Folder, open_folder
from svc.store.packs import NewRow, read_packs
from svc.store.remote import RemoteFolder
from svc.store.schema import PackSize
from svc.store.verify import verify
from svc.store.writer import open_writer

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]
Tree = Callable[[Path | Folder], dict[str, bytes]]

ON_DISK = pytest.mark.parametrize("sample", ["local"], indirect=True)
IDENTITY: dict[str, Any] = {"mel_frame_rate": 44100 / 512, "slicing": {"longest": 20.0}}
GONE = ["alto/gone", "bass/long", "bass/take02", "alto/take03", "bass/take06"]
REFUSED = {"bass/on": "it is all static", "alto/take03": "static too"}


def check(store: Store, sample: Sample, lacking: dict[str, set[str]] | None = None, refused: bool = False) -> None:
    """All values of the corpus are read and true; `lacking` are the utterances that have no such column."""
    for clip in store:
        for name, column in store.columns.items():
            if refused and clip.id in REFUSED:
                with pytest.raises(MissingError, match=REFUSED[clip.id]):
                    clip.read(name)
            elif clip.id in (lacking or {}).get(name, ()):
                with pytest.raises(MissingError):
                    clip.read(name)
            else:
                assert np.array_equal(clip.read(name), sample.truth(column, clip.row)), (clip.id, name)


def orphans(location: Path | Folder) -> set[str]:
    """Files of cells and packs that the corpus does not name."""
    store = open_store(location)
    expected = {store.layout.pack(pack.number) for pack in store.packs if pack.rows}
    for pack in store.packs:
        for name, column in store.columns.items():
            if pack.rows:
                expected |= {store.layout.shard(column, pack.number), store.layout.receipt(name, pack.number)}
    found = open_folder(location).files("")
    return {n for n in found if n.startswith(("ledger/packs", "ledger/receipts")) or "/c/" in n} - expected - {
        "mel_row_size/c/0", "unit_row_size/c/0"
    }  # fmt: skip


@ON_DISK
def test_dropped_and_merged(place: Folder, sample: Sample, extract: Run) -> None:
    extract(place, refused=REFUSED, removed=GONE)
    before = sum(size for name, size in place.files("").items() if "/c/" in name and "row_size" not in name)
    done = compact(place)
    after = sum(size for name, size in place.files("").items() if "/c/" in name and "row_size" not in name)
    assert done == Compacted(3, 2, 5, before - after)
    assert done.bytes_freed > 0
    store = open_store(place)
    assert [len(pack.rows) for pack in store.packs[:3]] == [0, 0, 0]
    assert sum(len(pack.rows) for pack in store.packs) == len(store) == 21 - 5
    check(store, sample, refused=True)
    assert {finding.kind for finding in verify(store)} == {"refused"}
    assert orphans(place) == set()
    assert compact(place) == Compacted(2, 2, 0, 0)


@ON_DISK
def test_xarray_finds_each_row_where_row_size_says(place: Folder, sample: Sample, extract: Run) -> None:
    extract(place, removed=GONE)
    compact(place)
    store = open_store(place)
    sizes_of = xarray.open_zarr(store.layout.root)
    for column in sample.columns:
        group, _, name = column.name.rpartition("/")
        data = xarray.open_zarr(store.layout.root, group=group or None)[name]
        sizes = sizes_of[f"{column.axis}_row_size"].values
        assert sizes.sum() == len(data)
        rows = np.split(data.values, np.cumsum(sizes)[:-1])
        expected = [row for pack in store.packs for row in [*pack.rows, None]]
        assert len(rows) == len(expected)
        for values, row in zip(rows, expected, strict=True):
            assert not values.any() if row is None else np.array_equal(values, sample.truth(column, row))


def test_store_without_waste_is_left_alone(copy: Sample, tree: Tree, extract: Run) -> None:
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        live = {(u.pack, u.row) for u in writer.utterances}
        lost = [(p.number, r) for p in writer.packs for r in range(len(p.rows)) if (p.number, r) not in live]
    assert len(lost) == 1
    compact(copy.root)
    before = tree(copy.root)
    assert compact(copy.root).rows_dropped == 0
    assert tree(copy.root) == before
    check(copy.open(), copy)


@ON_DISK
def test_small_packs_become_one(tmp_path: Path, sample: Sample, extract: Run, pieces: dict[str, NewRow]) -> None:
    """Packs as after adding two songs a day."""
    root = tmp_path / "a"
    for count in range(2, 13, 2):
        extract(root, corpus=dict(list(pieces.items())[:count]), columns=sample.columns)
    assert len(open_store(root).packs) == 6
    done = compact(root)
    assert (done.packs_before, done.packs_after, done.rows_dropped) == (6, 2, 0)
    check(open_store(root), sample)
    assert verify(open_store(root)) == []
    extract(root)  # and it goes on from there
    check(open_store(root), sample)
    assert verify(open_store(root)) == []


def test_pack_of_which_nothing_is_left_is_removed(copy: Sample) -> None:
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.set_utterances([u for u in writer.utterances if u.pack == 2])
    assert compact(copy.root).packs_after == 1
    check(copy.open(), copy)
    assert orphans(copy.root) == set()
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.set_utterances([])
    assert compact(copy.root).packs_after == 0
    assert len(copy.open()) == 0
    assert orphans(copy.root) == set()


@pytest.mark.parametrize("damage", ["missing", "damaged", "stale", "exchanged"])
def test_cells_that_are_not_whole_stay_missing_and_are_never_copied(copy: Sample, damage: str, extract: Run) -> None:
    match damage:
        case "missing":
            copy.at.receipt("f0", 1).unlink()
        case "damaged":
            data = bytearray(copy.at.shard(copy.columns[3], 1).read_bytes())
            data[-200] ^= 1
            copy.at.shard(copy.columns[3], 1).write_bytes(bytes(data))
        case "exchanged":  # whole, of the same size, and of another column: only the receipt's sha256 tells
            copy.at.shard(copy.columns[3], 1).write_bytes(copy.at.shard(copy.columns[4], 1).read_bytes())
        case _:
            copy.at.receipt("f0", 1).write_bytes(copy.at.receipt("f0", 0).read_bytes())
    lost = {clip.id for clip in copy.open() if clip.utterance.pack == 1}
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.set_utterances([u for u in writer.utterances if u.id not in GONE])
    compact(copy.root)
    store = copy.open()
    shared = {clip.utterance.pack for clip in store if clip.id in lost}
    lacking = {clip.id for clip in store if clip.utterance.pack in shared}
    assert lost - set(GONE) <= lacking
    check(store, copy, {"f0": lacking})
    assert {finding.kind for finding in verify(store)} == {"missing"}
    extract(copy.root, corpus={}, columns=copy.columns)
    check(copy.open(), copy)


def test_open_store_reads_the_truth_or_raises(copy: Sample) -> None:
    """One that has read all, and one that has read nothing."""
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.set_utterances([u for u in writer.utterances if u.id not in GONE])
    warm, cold = copy.open(), copy.open()
    check(warm, copy)
    compact(copy.root)
    retired = {pack.number for pack in copy.open().packs if not pack.rows}
    assert retired
    for store in (warm, cold):
        for clip in store:
            mapped = store is warm and isinstance(copy.root, Path)  # a file that is removed lasts while it is mapped
            for column in copy.columns:
                if clip.utterance.pack in retired and not mapped:
                    with pytest.raises((MissingError, DamagedError)):
                        clip.read(column.name)
                else:
                    assert np.array_equal(clip.read(column.name), copy.truth(column, clip.row))


@ON_DISK
def test_a_store_is_opened_though_a_compaction_ends_meanwhile(copy: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the table, which still named a pack, and that pack's file, which is gone."""
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.set_utterances([u for u in writer.utterances if u.id not in GONE])
    real = read_packs
    done: list[Compacted] = []

    def late(*arguments: Any) -> Any:
        if not done:
            monkeypatch.setattr(ledger, "read_packs", real)
            done.append(compact(copy.root))
        return real(*arguments)

    monkeypatch.setattr(ledger, "read_packs", late)
    check(copy.open(), copy)
    assert done


@ON_DISK
def test_stopped_anywhere_loses_nothing_and_ends_the_same(
    sample: Sample,
    elsewhere: Callable[[], RemoteFolder],
    faulty: Any,
    tree: Tree,
    extract: Run,
    pieces: dict[str, NewRow],
) -> None:
    """At the k-th write or removal, for every k; then compacted again, or opened for writing and compacted."""
    made, columns = elsewhere(), sample.columns[2:4]
    extract(made, columns=columns, refused=REFUSED, removed=GONE)
    with open_writer(made, sample.size, IDENTITY) as writer:
        wanted = writer.columns["f0"]
        made.remove([writer.layout.receipt("f0", 2), writer.layout.shard(wanted, 2)])
    lost = {clip.id for clip in open_store(made) if clip.utterance.pack == 2}
    source = tree(made)
    compact(made)
    whole = tree(made)
    assert whole != source
    for call in range(1000):
        folder = elsewhere()
        for name, data in source.items():
            folder.write(name, data)
        try:
            compact(faulty(folder, call))
        except OSError:
            store = open_store(folder)
            # f0 of the pack that the lost ones are merged into is missing too; nothing else ever is.
            with_lost = {u.pack for u in store.table if u.id in lost}
            check(store, sample, {"f0": {u.id for u in store.table if u.pack in with_lost}}, refused=True)
        else:
            break
        if call % 2:
            with open_writer(folder, sample.size, IDENTITY):
                pass
            assert orphans(folder) == set()
        compact(folder)
        again = tree(folder)
        assert {name for name in again.keys() | whole.keys() if again.get(name) != whole.get(name)} == set(), call
    assert 20 < call < 999


def test_writer_opened_after_a_lost_table_removes_nothing(copy: Sample, tree: Tree) -> None:
    """Without a table, packs are not removed as leftovers."""
    copy.at.utterances.unlink()
    before = tree(copy.root)
    with open_writer(copy.root, copy.size, IDENTITY):
        pass
    assert tree(copy.root) == before


def test_leftover_packs_of_a_stopped_run_are_removed(copy: Sample, tree: Tree, pieces: dict[str, NewRow]) -> None:
    before = tree(copy.root)
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.add(list(pieces.values()))
    assert tree(copy.root) != before
    with open_writer(copy.root, copy.size, IDENTITY):
        pass
    assert tree(copy.root) == before


def test_progress_and_waiting(copy: Sample) -> None:
    calls: list[tuple[int, int]] = []
    compact(copy.root, lambda done, total: calls.append((done, total)))
    total = calls[-1][1]
    assert calls == [(done, total) for done in range(total + 1)]


def test_nothing_to_compact_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no unit store"):
        compact(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_half_full_is_measured_on_the_fuller_axis(tmp_path: Path) -> None:
    from svc.store.compact import _chosen
    from svc.store.packs import fill

    size = PackSize(100, 100)

    def packs(*lengths: tuple[int, int]) -> Any:
        return [
            fill([NewRow(f"{n:064x}", 0, mel, False, unit, mel)], size, n)[0] for n, (unit, mel) in enumerate(lengths)
        ]

    for lengths, chosen in [
        ([(49, 49), (49, 10)], [0, 1]),
        ([(49, 50), (1, 1)], []),
        ([(50, 1), (1, 1), (2, 2)], [1, 2]),
        ([(49, 49)], []),
    ]:
        found = packs(*lengths)
        live = {pack.number: {0} for pack in found}
        assert [pack.number for pack in _chosen(found, live, size)] == chosen


def test_dry_run_foresees_and_writes_nothing(copy: Sample, tree: Tree) -> None:
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.set_utterances(writer.utterances[::2])
    before = tree(copy.root)
    foreseen = compact(copy.root, dry_run=True)
    assert tree(copy.root) == before
    assert foreseen.rows_dropped > 0
    assert compact(copy.root) == foreseen
