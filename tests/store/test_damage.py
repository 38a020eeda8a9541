"""Corruption: for every changed byte of a store, `svc verify` names its file, and reading raises or is true."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from svc.store import DamagedError, StoreError, open_store
from svc.store.folder import Folder
from svc.store.layout import Layout
from svc.store.repair import find_damage, repair
from svc.store.verify import Finding, verify_at

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]
Tally = Callable[..., None]
Tree = Callable[[Path | Folder], dict[str, bytes]]

pytestmark = [pytest.mark.torture, pytest.mark.parametrize("sample", ["local"], indirect=True)]


@pytest.fixture
def mine(sample: Sample) -> Iterator[Path]:
    """A copy of the sample, in memory where there is a folder for that: it is changed and read a thousand times."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        shutil.copytree(str(sample.root), f"{name}/s.zarr")
        yield Path(name) / "s.zarr"


def kinds(root: Path) -> dict[str, list[Path]]:
    """The files of a store that must be as they were written, by what they are."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name not in ("lock", "report.json")]
    found: dict[str, list[Path]] = {"shard": [], "receipt": [], "utterance table": [], "metadata": []}
    for path in files:
        inside = path.relative_to(root).as_posix()
        shard = "/c/" in inside and not inside.startswith(("unit_row_size", "mel_row_size"))
        receipt = inside.startswith("ledger/receipts/")
        table = inside == "ledger/utterances.json"
        kind = "shard" if shard else "receipt" if receipt else "utterance table" if table else "metadata"
        found[kind].append(path)
    return found


Cells = dict[str, tuple[str, int, tuple[str, ...]]]


@pytest.fixture
def cells(sample: Sample) -> Cells:
    """Column, pack and utterances of each shard's and receipt's file."""
    table = sample.open().table
    ids = [tuple(u.id for u in table if u.pack == number) for number in range(3)]
    return {
        name: (column.name, number, ids[number])
        for column, number in sample.cells()
        for name in (sample.layout.shard(column, number), sample.layout.receipt(column.name, number))
    }


def names_it(findings: list[Finding], root: Path, path: Path, cells: Cells) -> bool:
    """Whether the findings name the file, of a cell its column and its utterances, and nothing else."""
    if len(findings) != 1 or str(path) not in findings[0].reason:
        return False
    told = findings[0].column, findings[0].pack, findings[0].utterances
    return told == cells.get(path.relative_to(root).as_posix(), told)


def never_false(root: Path, sample: Sample) -> bool:
    """Whether every value that can be read is true."""
    try:
        store = open_store(root)
    except StoreError:
        return True
    for clip in store:
        for column in sample.columns:
            try:
                if not np.array_equal(clip.read(column.name), sample.truth(column, clip.row)):
                    return False
            except StoreError:
                continue
    return True


@pytest.mark.parametrize("tries", [200, pytest.param(5000, marks=pytest.mark.long)])
def test_random_flipped_bits(sample: Sample, mine: Path, cells: Cells, tally: Tally, tries: int) -> None:
    """Of each kind of file as many; a store that cannot be opened for it is verified all the same."""
    rng = np.random.default_rng(4)
    for kind, paths in kinds(mine).items():
        assert paths
        for number in range(tries // 4):
            path = paths[int(rng.integers(len(paths)))]
            data = path.read_bytes()
            at = int(rng.integers(len(data)))
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :])
            try:
                findings = verify_at(mine)
            except StoreError as error:
                findings = [Finding("damaged", "ledger", -1, (), str(error))]
            found = names_it(findings, mine, path, cells)
            torn = number % 10 == 0 and not never_false(mine, sample)
            tally(f"a bit flipped: {kind}", tries=1, torn=int(torn), found=int(found))
            assert found, (path, at, findings)
            assert not torn, (path, at)
            path.write_bytes(data)
    assert verify_at(mine) == []


@pytest.mark.parametrize("damage", ["deleted", "emptied", "cut in half"])
def test_each_shard_and_receipt_in_turn(sample: Sample, mine: Path, cells: Cells, tally: Tally, damage: str) -> None:
    for kind in ("shard", "receipt"):
        for path in kinds(mine)[kind]:
            data = path.read_bytes()
            path.unlink() if damage == "deleted" else path.write_bytes(
                data[: 0 if damage == "emptied" else len(data) // 2]
            )
            found = names_it(verify_at(mine), mine, path, cells)
            torn = not never_false(mine, sample)
            tally(f"each {kind} {damage}", tries=1, torn=int(torn), found=int(found))
            assert found, path
            assert not torn, path
            path.write_bytes(data)


def units(sample: Sample, mel_frames: int) -> int:
    """As many unit frames as the sample has for so many mel frames."""
    return max(1, round(mel_frames * 0.58))


@pytest.mark.parametrize("damage", ["flipped", "deleted"])
def test_each_record_of_the_ledger_is_mended_from_the_others(
    sample: Sample, mine: Path, extract: Run, tree: Tree, tally: Tally, damage: str
) -> None:
    """Every pack, the utterance table, every column; no cell is computed for it."""
    rng = np.random.default_rng(5)
    extract(mine)  # the removed utterance is back, so that the table knows all rows
    whole = tree(mine)
    records = [p for p in (mine / "ledger").rglob("*.json") if "receipts" not in p.parts]
    for path in sorted(records):
        if path.name in ("store.json", "arrays.json", "zarr.json") or (damage == "deleted" and "columns" in path.parts):
            continue
        data = bytearray(path.read_bytes())
        data[int(rng.integers(len(data)))] ^= 8
        path.unlink() if damage == "deleted" else path.write_bytes(data)
        with pytest.raises(DamagedError):
            open_store(mine)
        found = [found.name for found in find_damage(Layout(mine))]
        assert found == [path.relative_to(mine).as_posix()]
        repair(mine, lambda mel: units(sample, mel))
        open_store(mine)
        extract(mine)
        same = tree(mine) == whole
        tally(f"a record of the ledger {damage}", tries=1, found=1, repaired=int(same))
        assert same, path


def test_what_cannot_be_mended_says_so_and_is_left_alone(sample: Sample, mine: Path, tree: Tree) -> None:
    """Not repairable: a pack lost together with the table, and a store without its description."""
    (mine / "ledger" / "packs" / "000001.json").write_bytes(b"{}")
    (mine / "ledger" / "utterances.json").unlink()
    before = tree(mine)
    with pytest.raises(StoreError, match="another --store"):
        repair(mine, lambda mel: units(sample, mel))
    assert tree(mine) == before
    (mine / "ledger" / "store.json").write_bytes(b"{}")
    with pytest.raises(DamagedError, match=r"store\.json"):
        repair(mine, lambda mel: units(sample, mel))


def test_mending_a_whole_store_changes_nothing(sample: Sample, mine: Path, tree: Tree) -> None:
    before = tree(mine)
    assert repair(mine, lambda mel: units(sample, mel)) == []
    assert tree(mine) == before
