"""Written values: wrong ones are refused, and rows without values have a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from svc.store import MissingError, StoreError, open_store
from svc.store.cells import write_cell
from svc.store.folder import Folder
from svc.store.schema import PackSize
from svc.store.writer import open_writer

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]
Tree = Callable[[Path | Folder], dict[str, bytes]]

SIZE = PackSize(unit=1024, mel=1920)
IDENTITY: dict[str, Any] = {"mel_frame_rate": 44100 / 512, "slicing": {"longest": 20.0}}
ON_DISK = pytest.mark.parametrize("sample", ["local"], indirect=True)


def wrong_values() -> list[tuple[str, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]]]:
    def spoil(value: float) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
        def change(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            changed = array.copy()
            changed.reshape(-1)[-1] = value
            return changed

        return change

    return [
        ("short", lambda array: array[:-1]),
        ("long", lambda array: np.concatenate([array, array[:1]])),
        ("narrow", lambda array: array[:, :-1]),
        ("flat", lambda array: array.reshape(-1)),
        ("deep", lambda array: array[..., None]),
        ("float32", lambda array: array.astype(np.float32)),
        ("int16", lambda array: array.astype(np.int16)),
        ("big-endian", lambda array: array.astype(">f2")),
        ("nan", spoil(np.nan)),
        ("inf", spoil(np.inf)),
        ("-inf", spoil(-np.inf)),
    ]


@pytest.mark.parametrize(("name", "wrong"), wrong_values(), ids=[name for name, _ in wrong_values()])
def test_wrong_values_are_refused_and_nothing_is_written(
    copy: Sample, tree: Tree, name: str, wrong: Callable[..., Any]
) -> None:
    before = tree(copy.root)
    column = copy.columns[0]
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        pack = writer.packs[1]
        values = {number: copy.truth(column, row) for number, row in enumerate(pack.rows)}
        values[2] = wrong(values[2])
        with pytest.raises(StoreError, match=r"hidden/7, pack 1, row 2"):
            write_cell(copy.root, writer.size, column, pack, values, {}, {})
    assert tree(copy.root) == before


def test_wrong_integers_are_refused(copy: Sample) -> None:
    column = copy.columns[5]
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        pack = writer.packs[0]
        values = {number: copy.truth(column, row) for number, row in enumerate(pack.rows)}
        values[0] = values[0].astype(np.int64)
        with pytest.raises(StoreError, match="int64"):
            write_cell(copy.root, writer.size, column, pack, values, {}, {})


def test_every_row_has_values_or_a_reason(copy: Sample) -> None:
    column = copy.columns[0]
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        pack = writer.packs[0]
        values = {number: copy.truth(column, row) for number, row in enumerate(pack.rows)}
        del values[1]
        with pytest.raises((AssertionError, StoreError)):
            write_cell(copy.root, writer.size, column, pack, values, {}, {})


def test_receipt_says_what_was_written(copy: Sample) -> None:
    """Truth: the file itself."""
    import hashlib

    store = copy.open()
    for column, pack in copy.cells():
        receipt = store.receipt(column.name, pack)
        data = copy.at.shard(column, pack).read_bytes()
        assert (receipt.size, receipt.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert (receipt.column, receipt.pack, receipt.pack_digest) == (column.name, pack, store.packs[pack].digest)
        assert (receipt.made_by, receipt.made_with, receipt.refused) == (column.made_by, {"svc": "test"}, {})


@ON_DISK
def test_refused_rows_raise_with_their_reason_and_spare_the_others(
    sample: Sample, tmp_path: Path, extract: Run
) -> None:
    extract(tmp_path / "a", refused={"bass/long": "it is all static"})
    store = open_store(tmp_path / "a")
    for clip in store:
        for column in sample.columns:
            if clip.id == "bass/long":
                with pytest.raises(MissingError, match="it is all static"):
                    clip.read(column.name)
                with pytest.raises(MissingError, match="it is all static"):
                    clip.read(column.name, 0, 0)
            else:
                assert np.array_equal(clip.read(column.name), sample.truth(column, clip.row))
    assert sorted(store["bass/long"].missing()) == sorted(column.name for column in sample.columns)
    assert list(store.utterances.query("not complete").id) == ["bass/long"]


@ON_DISK
def test_refused_without_a_reason_is_still_refused(sample: Sample, tmp_path: Path, extract: Run) -> None:
    extract(tmp_path / "a", refused={"bass/long": ""})
    with pytest.raises(MissingError):
        open_store(tmp_path / "a")["bass/long"].read("f0")


@ON_DISK
def test_refused_rows_are_recomputed_while_they_are_in_the_corpus(sample: Sample, tmp_path: Path, extract: Run) -> None:
    root = tmp_path / "a"
    extract(root, refused={"bass/long": "static", "alto/take06": "static"})
    store = open_store(root)
    packs = sorted({store["bass/long"].utterance.pack, store["alto/take06"].utterance.pack})
    assert len(packs) == 2
    with open_writer(root, SIZE, IDENTITY) as writer:
        everyone = writer.utterances
        assert [writer.missing(column) for column in sample.columns] == [packs] * 6
        writer.set_utterances([u for u in everyone if u.id != "bass/long"])
        assert [writer.missing(column) for column in sample.columns] == [packs[1:]] * 6
        writer.set_utterances([u for u in everyone if u.id not in ("bass/long", "alto/take06")])
        assert [writer.missing(column) for column in sample.columns] == [[]] * 6
        writer.set_utterances(everyone)
    extract(root)  # nothing is refused now
    store = open_store(root)
    assert store.utterances.complete.all()
    for column in sample.columns:
        assert np.array_equal(store["bass/long"].read(column.name), sample.truth(column, store["bass/long"].row))
