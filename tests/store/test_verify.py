"""Verifying: exactly the faults are found, named by column, pack and utterances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from svc.store import open_store
from svc.store.verify import Finding, verify
from svc.store.writer import open_writer

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]

ON_DISK = pytest.mark.parametrize("sample", ["local"], indirect=True)


def told(findings: list[Finding]) -> list[tuple[str, str, int, tuple[str, ...]]]:
    return [(finding.kind, finding.column, finding.pack, finding.utterances) for finding in findings]


def ids_in(sample: Sample, pack: int) -> tuple[str, ...]:
    return tuple(utterance.id for utterance in sample.open().table if utterance.pack == pack)


def test_whole_store_has_no_findings(sample: Sample) -> None:
    assert verify(sample.open()) == []


def test_packs_share_out_all_utterances(sample: Sample) -> None:
    """So that the ids below mean something."""
    packs = [set(ids_in(sample, pack)) for pack in range(3)]
    assert all(packs)
    assert sum(map(len, packs)) == len(set.union(*packs)) == 20


def test_one_flipped_bit_in_any_shard_is_found(copy: Sample, flip: Run) -> None:
    """Wherever it is: data, checksum, index, or padding that no reader would look at."""
    rng = np.random.default_rng(21)
    for column, pack in copy.cells():
        path = copy.at.shard(column, pack)
        data = path.read_bytes()
        for at in (None, 0, len(data) - 1):
            flip(path, rng, at)
            findings = verify(copy.open())
            assert told(findings) == [("damaged", column.name, pack, ids_in(copy, pack))]
            assert str(path) in findings[0].reason
            path.write_bytes(data)
    assert verify(copy.open()) == []


@pytest.mark.parametrize("damage", ["deleted", "half", "minus one", "empty", "plus one", "folder"])
def test_any_shard_that_is_not_whole_is_found(copy: Sample, damage: str) -> None:
    for column, pack in copy.cells():
        path = copy.at.shard(column, pack)
        data = path.read_bytes()
        cut = {"half": data[: len(data) // 2], "minus one": data[:-1], "empty": b"", "plus one": data + b"\0"}
        if damage in cut:
            path.write_bytes(cut[damage])
        else:
            path.unlink()
        if damage == "folder":
            path.mkdir()
        assert told(verify(copy.open())) == [("damaged", column.name, pack, ids_in(copy, pack))]
        if damage == "folder":
            path.rmdir()
        path.write_bytes(data)
    assert verify(copy.open()) == []


def test_any_lost_receipt_is_found(copy: Sample) -> None:
    for column, pack in copy.cells():
        path = copy.at.receipt(column.name, pack)
        data = path.read_bytes()
        path.unlink()
        assert told(verify(copy.open())) == [("missing", column.name, pack, ids_in(copy, pack))]
        path.write_bytes(data)
    assert verify(copy.open()) == []


def test_any_changed_receipt_is_found(copy: Sample, flip: Run) -> None:
    rng = np.random.default_rng(22)
    for column, pack in copy.cells():
        path = copy.at.receipt(column.name, pack)
        data = path.read_bytes()
        flip(path, rng)
        assert told(verify(copy.open())) == [("damaged", column.name, pack, ids_in(copy, pack))]
        path.write_bytes(data)
    assert verify(copy.open()) == []


def test_exchanged_shards_are_found(copy: Sample) -> None:
    """Each whole in itself, of one size and shape: only the receipts' sha256 tell."""
    one, other = (copy.at.shard(column, 1) for column in copy.columns[:2])
    assert one.stat().st_size == other.stat().st_size
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    ids = ids_in(copy, 1)
    assert sorted(told(verify(copy.open()))) == [("damaged", "hidden/12", 1, ids), ("damaged", "hidden/7", 1, ids)]


def test_all_that_is_wrong_is_found_at_once(copy: Sample, flip: Run) -> None:
    flip(copy.at.shard(copy.columns[2], 0), np.random.default_rng(0))
    copy.at.receipt("f0", 1).unlink()
    copy.at.shard(copy.columns[5], 2).unlink()
    assert sorted(told(verify(copy.open()))) == [
        ("damaged", "mel", 0, ids_in(copy, 0)),
        ("damaged", "mel2ph", 2, ids_in(copy, 2)),
        ("missing", "f0", 1, ids_in(copy, 1)),
    ]


@ON_DISK
def test_refused_utterances_are_told_with_their_reason(sample: Sample, tmp_path: Path, extract: Run) -> None:
    extract(tmp_path / "a", refused={"bass/long": "static", "alto/gone": "static"}, removed=["alto/gone"])
    findings = verify(open_store(tmp_path / "a"))
    pack = open_store(tmp_path / "a")["bass/long"].utterance.pack
    expected = [("refused", column.name, pack, ("bass/long",)) for column in sample.columns]
    assert sorted(told(findings)) == sorted(expected)
    assert {finding.reason for finding in findings} == {"static"}


def test_packs_that_hold_nothing_of_the_corpus_do_not_count(copy: Sample) -> None:
    copy.at.shard(copy.columns[0], 1).unlink()
    with open_writer(copy.root, copy.size, copy.open().description["identity"]) as writer:
        writer.set_utterances([utterance for utterance in writer.utterances if utterance.pack != 1])
    assert verify(copy.open()) == []


def test_cells_verified_once_stay_unopened(sample: Sample) -> None:
    """It reads files, not what an open store has in memory; and it keeps none open."""
    store = sample.open()
    assert verify(store) == []
    assert store._shards == {}


def test_damage_after_a_cell_was_read_is_found(copy: Sample, flip: Run) -> None:
    store = copy.open()
    store.read("mel", 0, 0)
    path = copy.at.shard(copy.columns[2], 0)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.unlink()  # as `open_store` maps it
    path.write_bytes(data)
    assert told(verify(store)) == [("damaged", "mel", 0, ids_in(copy, 0))]


def test_progress_counts_every_cell_from_none_to_all(sample: Sample) -> None:
    calls: list[tuple[int, int]] = []
    verify(sample.open(), lambda done, total: calls.append((done, total)))
    assert calls == [(done, 18) for done in range(19)]


def test_progress_counts_cells_that_are_wrong_too(copy: Sample) -> None:
    for column, pack in copy.cells():
        copy.at.receipt(column.name, pack).unlink()
    calls: list[tuple[int, int]] = []
    assert len(verify(copy.open(), lambda done, total: calls.append((done, total)))) == 18
    assert calls == [(done, 18) for done in range(19)]


@pytest.mark.parametrize(
    "name", ["zarr.json", "f0/zarr.json", "hidden/zarr.json", "mel_row_size/c/0", "ledger/zarr.json"]
)
def test_any_changed_byte_of_what_other_readers_need_is_found(copy: Sample, flip: Run, name: str) -> None:
    """`svc verify` says "every byte is as it was written"."""
    flip(copy.at.root / name, np.random.default_rng(23))
    assert verify(copy.open()) != []
