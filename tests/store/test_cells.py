"""Cells written by workers and accepted by the owner; columns replaced; what a dry run sees."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from svc.store import MissingError, SettingsError, StoreError, open_store
from svc.store.cells import missing_cells, write_cell
from svc.store.folder import Folder, open_folder
from svc.store.receipts import Receipt
from svc.store.remote import RemoteFolder
from svc.store.schema import Column, Pack
from svc.store.verify import verify
from svc.store.writer import Writer, open_writer

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]
Tree = Callable[[Path | Folder], dict[str, bytes]]

IDENTITY: dict[str, Any] = {"mel_frame_rate": 44100 / 512, "slicing": {"longest": 20.0}}


def compute(sample: Sample, writer: Writer, column: Column, pack: Pack, by: float = 0) -> Receipt:
    values = {number: sample.truth(column, row) + np.asarray(by, column.dtype) for number, row in enumerate(pack.rows)}
    return write_cell(writer.layout.folder, writer.size, column, pack, values, {}, {"svc": "test"})


def test_cell_counts_when_its_receipt_is_accepted(copy: Sample) -> None:
    column = copy.columns[3]
    copy.at.receipt("f0", 1).unlink()
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        receipt = compute(copy, writer, column, writer.packs[1])
        assert writer.missing(column) == [1]
        with pytest.raises(MissingError):
            copy.open().read("f0", 0, 1)
        writer.accept(receipt)
        assert writer.missing(column) == []
    assert verify(copy.open()) == []


def test_rewriting_a_cell_first_takes_its_receipt_away(copy: Sample) -> None:
    """So that no receipt ever lies beside a shard that it is not of."""
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        compute(copy, writer, copy.columns[3], writer.packs[1], by=1)
    with pytest.raises(MissingError):
        copy.open().read("f0", 0, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"column": "pitch"}, "no such column"),
        ({"pack": 3}, "no such column or pack"),
        ({"pack": -1}, "no such column or pack"),
        ({"pack": 0}, "other utterances"),
        ({"made_by": "0" * 64}, "other settings"),
        ({"pack_digest": "0" * 64}, "other utterances"),
        ({"size": 17}, "17 were written"),
    ],
)
def test_receipts_of_what_the_store_has_not_are_refused(
    copy: Sample, tree: Tree, change: dict[str, Any], told: str
) -> None:
    receipt = copy.open().receipt("f0", 1)
    before = tree(copy.root)
    with open_writer(copy.root, copy.size, IDENTITY) as writer, pytest.raises(StoreError, match=told):
        writer.accept(replace(receipt, **change))
    assert tree(copy.root) == before


def test_cell_that_went_to_another_place_is_not_accepted(copy: Sample, tmp_path: Path) -> None:
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        column, pack = copy.columns[3], writer.packs[1]
        values = {number: copy.truth(column, row) for number, row in enumerate(pack.rows)}
        copy.at.shard(column, 1).unlink()
        receipt = write_cell(tmp_path / "worker's", writer.size, column, pack, values, {}, {})
        with pytest.raises(StoreError, match="same place"):
            writer.accept(receipt)


def test_what_a_worker_needs_is_sent_small_and_clean(sample: Sample) -> None:
    store = sample.open()
    pack, column = store.packs[0], store.columns["f0"]
    receipt = store.receipt("f0", 0)
    plain = pickle.dumps(Pack(pack.number, pack.rows))
    assert pack.digest
    for value, limit in [
        (pack, len(plain)),
        (column, 500),
        (receipt, 700),
        (store.size, 200),
        (store.layout.folder, 600),
    ]:
        sent = pickle.dumps(value)
        assert len(sent) <= limit
        if not isinstance(value, Folder):
            assert pickle.loads(sent) == value
    assert pickle.loads(pickle.dumps(pack)).digest == pack.digest


def test_missing_cells_needs_no_writer_and_writes_nothing(copy: Sample, tree: Tree) -> None:
    copy.at.receipt("f0", 1).unlink()
    before = tree(copy.root)
    store = copy.open()
    found = {name: missing_cells(copy.root, column, store.packs, store.table) for name, column in store.columns.items()}
    assert found == {column.name: [1] if column.name == "f0" else [] for column in copy.columns}
    other = replace(copy.columns[3], settings={"method": "dio"})
    assert missing_cells(copy.root, other, store.packs, store.table) == [0, 1, 2]
    assert missing_cells(copy.root, other, store.packs, [u for u in store.table if u.pack != 1]) == [0, 2]
    assert tree(copy.root) == before


def test_missing_cells_of_no_store_are_all_and_make_no_folder(sample: Sample, tmp_path: Path) -> None:
    store = sample.open()
    assert missing_cells(tmp_path / "none", sample.columns[0], store.packs, store.table) == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []


def test_report_is_kept(copy: Sample) -> None:
    from svc.store.checksummed_json import read_checksummed

    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.write_report({"utterances": 20})
    assert read_checksummed(open_folder(copy.root), "ledger/report.json") == {"utterances": 20}


# Replacing a column.

DIO = {"floor": 65.0, "method": "dio"}


def test_column_to_be_replaced_may_differ_and_no_other(copy: Sample) -> None:
    f0, mel = replace(copy.columns[3], settings=DIO), replace(copy.columns[2], settings={"bins": 80})
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.check_columns([f0], {"f0"})
        for asked, names in [([f0], set()), ([f0, mel], {"f0"}), ([f0], {"mel"})]:
            for ask in (writer.check_columns, writer.set_columns):
                with pytest.raises(SettingsError):
                    ask(asked, frozenset(names))
    assert verify(copy.open()) == []


def test_replaced_column_is_missing_until_it_is_computed(copy: Sample) -> None:
    old, new = copy.columns[3], replace(copy.columns[3], settings=DIO)
    before = copy.open()  # and has read nothing yet
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.set_columns([new], {"f0"})
        assert writer.missing(new) == [0, 1, 2]
        assert [writer.missing(c) for c in copy.columns if c != old] == [[]] * 5
        writer.accept(compute(copy, writer, new, writer.packs[0], by=1000))
    store = copy.open()
    assert store.columns["f0"] == new
    for clip in store:
        if clip.utterance.pack == 0:
            assert np.array_equal(clip.f0, copy.truth(old, clip.row) + np.float32(1000))
        else:
            assert clip.missing() == ["f0"]
            with pytest.raises(MissingError):
                _ = clip.f0
        assert np.array_equal(clip.loudness, copy.truth(copy.columns[4], clip.row))
    for clip in before:
        with pytest.raises(MissingError):
            _ = clip.f0
    assert {finding.kind for finding in verify(store)} == {"missing"}


def test_store_that_has_a_cell_open_never_reads_the_new_one_as_the_old(copy: Sample) -> None:
    old, new = copy.columns[3], replace(copy.columns[3], settings=DIO)
    store = copy.open()
    row = store.packs[0].rows[0]
    assert np.array_equal(store.read("f0", 0, 0), copy.truth(old, row))
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.set_columns([new], {"f0"})
        for pack in writer.packs:
            writer.accept(compute(copy, writer, new, pack, by=1000))
    try:
        assert np.array_equal(store.read("f0", 0, 0), copy.truth(old, row))
    except MissingError:
        assert isinstance(copy.root, RemoteFolder)


def test_cell_that_is_replaced_while_it_is_opened_is_missing(copy: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its receipt, which was of the old settings, and its shard, which is of the new."""
    new = replace(copy.columns[3], settings=DIO)
    store = copy.open()
    view = type(store.layout.folder).view

    def late(self: Any, name: str) -> Any:
        monkeypatch.undo()
        with open_writer(copy.root, copy.size, IDENTITY) as writer:
            writer.set_columns([new], {"f0"})
            writer.accept(compute(copy, writer, new, writer.packs[0], by=1000))
        return view(self, name)

    monkeypatch.setattr(type(store.layout.folder), "view", late)
    with pytest.raises(MissingError):
        store.read("f0", 0, 0)


def test_replaced_when_the_column_is_new_or_the_same_loses_nothing(copy: Sample, tree: Tree) -> None:
    before = tree(copy.root)
    with open_writer(copy.root, copy.size, IDENTITY) as writer:
        writer.set_columns(copy.columns, {"f0", "mel"})
    assert tree(copy.root) == before


def test_replacing_stopped_anywhere_never_mixes_old_and_new(
    sample: Sample, elsewhere: Callable[[], RemoteFolder], faulty: Any, tree: Tree
) -> None:
    old, new = sample.columns[3], replace(sample.columns[3], settings=DIO)
    source = {
        name: data for name, data in tree(sample.root).items() if "f0" in name or name.count("/") < 2 or "packs" in name
    }
    whole: dict[str, bytes] = {}
    for call in range(-1, 100):
        folder = elsewhere()
        for name, data in source.items():
            folder.write(name, data)
        try:
            with open_writer(faulty(folder, 1000 if call < 0 else call), sample.size, IDENTITY) as writer:
                writer.set_columns([new], {"f0"})
                for pack in writer.packs:
                    writer.accept(compute(sample, writer, new, pack, by=1000))
        except OSError:
            pass
        store = open_store(folder)
        assert {finding.kind for finding in verify(store) if finding.pack >= 0} <= {"missing"}
        by = np.float32(1000 if store.columns["f0"] == new else 0)
        for clip in store:
            if store.has("f0", clip.utterance.row, clip.utterance.pack):
                assert np.array_equal(clip.f0, sample.truth(old, clip.row) + by)
        with open_writer(folder, sample.size, IDENTITY) as writer:
            done = writer.columns["f0"] == new and not writer.missing(new)
            writer.set_columns([new], {"f0"})
            for number in writer.missing(new):
                writer.accept(compute(sample, writer, new, writer.packs[number], by=1000))
        whole = whole or tree(folder)
        assert tree(folder) == whole
        if done and call >= 0:
            break
    assert 10 < call < 99
