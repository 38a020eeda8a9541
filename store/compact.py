"""Compacting a store: rows that no utterance uses are dropped, and nearly empty packs are merged.

Nothing is computed; cells are copied, bit for bit. New packs are written beside the old ones, the utterance table then
names them in one write, and only after that is anything removed. Old packs keep their number and their place in the
arrays, without rows, so that nothing else moves. The next writer removes the files that a stopped run has left.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from . import shards
from .cells import write_cell
from .columns import read_columns
from .errors import DamagedError, MissingError
from .folder import Folder
from .layout import Layout
from .ledger import read_corpus, read_description
from .packs import NewRow, fill
from .receipts import Receipt, read_receipt
from .schema import MEL, UNIT, Column, Pack, PackSize, Utterance
from .shards import Shard
from .writer import Writer, open_writer

SMALL = 0.5  # of a pack's capacity: packs with less are merged

Place = tuple[int, int]  # a pack, and a row in it


@dataclass(frozen=True)
class Compacted:
    """The result of compacting. `bytes_freed` counts shards, and is negative only if packs could not shrink."""

    packs_before: int
    packs_after: int
    rows_dropped: int
    bytes_freed: int


def compact(
    location: str | Path | Folder,
    progress: Callable[[int, int], None] = lambda done, total: None,
    waiting: Callable[[], None] = lambda: None,
    dry_run: bool = False,
) -> Compacted:
    """Drop the rows that are no longer in the corpus, and merge packs that are less than half full.

    Cells that are missing or damaged stay missing: `svc extract` computes them. With `dry_run` nothing is written and
        the result is predicted: `bytes_freed` then counts damaged cells as if they were whole.

    Raises:
        StoreError: there is no store.
    """
    layout = Layout(location)
    description = read_description(layout)
    size = PackSize(**description["size"])
    if dry_run:
        return _foresee(layout, size)
    with open_writer(layout.folder, size, description["identity"], waiting) as writer:
        return _compact(writer, progress)


def _compact(writer: Writer, progress: Callable[[int, int], None]) -> Compacted:
    live = _live_rows(writer.utterances)
    packs = [pack for pack in writer.packs if pack.rows]
    old = _chosen(packs, live, writer.size)
    if not old:
        return Compacted(len(packs), len(packs), 0, 0)
    before = _shard_bytes(writer.layout, writer.columns.values(), old)
    origins = [(pack.number, row) for pack in old for row in sorted(live[pack.number])]
    new = writer.add(_rows(old, live))
    places = [(pack.number, row) for pack in new for row in range(len(pack.rows))]
    moved = dict(zip(origins, places, strict=True))
    after = _copy(writer, new, origins, progress)
    for pack in old:
        writer.packs[pack.number] = Pack(pack.number, ())
    utterances = []
    for utterance in writer.utterances:
        number, row = moved.get((utterance.pack, utterance.row), (utterance.pack, utterance.row))
        utterances.append(dataclasses.replace(utterance, pack=number, row=row))
    writer.set_utterances(utterances)
    writer.sweep()
    dropped = sum(len(pack.rows) for pack in old) - len(origins)
    return Compacted(len(packs), len(packs) - len(old) + len(new), dropped, before - after)


def _foresee(layout: Layout, size: PackSize) -> Compacted:
    """The predicted result of compacting. Needs no lock."""
    packs, utterances = read_corpus(layout, size)
    columns = read_columns(layout).values()
    live = _live_rows(utterances)
    packs = [pack for pack in packs if pack.rows]
    old = _chosen(packs, live, size)
    new = fill(_rows(old, live), size, 0)
    before = _shard_bytes(layout, columns, old)
    after = 0
    for column in columns:
        present = layout.folder.files(f"{column.name}/c")
        whole = all(layout.shard(column, pack.number) in present for pack in old)
        after += sum(shards.encoded_size(column, pack, size) for pack in new) if whole else 0
    dropped = sum(len(pack.rows) - len(live[pack.number]) for pack in old)
    return Compacted(len(packs), len(packs) - len(old) + len(new), dropped, before - after)


def _live_rows(utterances: Iterable[Utterance]) -> dict[int, set[int]]:
    """The rows of each pack that utterances of the corpus use."""
    live: dict[int, set[int]] = defaultdict(set)
    for utterance in utterances:
        live[utterance.pack].add(utterance.row)
    return live


def _chosen(packs: list[Pack], live: dict[int, set[int]], size: PackSize) -> list[Pack]:
    """The packs to write anew: those with rows to drop, and the small ones if that makes fewer."""
    wasteful, small = [], []
    for pack in packs:
        if len(live[pack.number]) < len(pack.rows):
            wasteful.append(pack)
        elif all(sum(row.place(axis)[1] for row in pack.rows) < SMALL * size.of(axis) for axis in (UNIT, MEL)):
            small.append(pack)
    merged = sorted([*wasteful, *small], key=lambda pack: pack.number)
    alone = len(fill(_rows(wasteful, live), size, 0)) + len(small)
    return merged if len(fill(_rows(merged, live), size, 0)) < alone else wasteful


def _rows(packs: list[Pack], live: dict[int, set[int]]) -> list[NewRow]:
    rows = [pack.rows[number] for pack in packs for number in sorted(live[pack.number])]
    return [NewRow(r.audio, r.start, r.end, r.joined, r.unit_frames, r.mel_frames) for r in rows]


def _shard_bytes(layout: Layout, columns: Iterable[Column], packs: list[Pack]) -> int:
    total = 0
    for column in columns:
        sizes = layout.folder.files(f"{column.name}/c")
        total += sum(sizes.get(layout.shard(column, pack.number), 0) for pack in packs)
    return total


def _copy(writer: Writer, new: list[Pack], origins: list[Place], progress: Callable[[int, int], None]) -> int:
    """Fill the cells of new packs from the cells of their rows, in order. Returns the number of bytes written."""
    remaining = iter(origins)
    sources = {pack.number: [next(remaining) for _ in pack.rows] for pack in new}
    cells = [(column, pack) for pack in new for column in writer.columns.values()]
    written = 0
    for done, (column, pack) in enumerate(cells):
        progress(done, len(cells))
        if receipt := _copy_cell(writer, column, pack, sources[pack.number]):
            writer.accept(receipt)
            written += receipt.size
    progress(len(cells), len(cells))
    return written


def _copy_cell(writer: Writer, column: Column, pack: Pack, sources: list[Place]) -> Receipt | None:
    """Write a cell from others, if all of them exist and are whole."""
    values: dict[int, Any] = {}
    refused: dict[int, str] = {}
    made_with: dict[str, set[str]] = defaultdict(set)
    number = 0
    for source, places in groupby(sources, key=lambda place: place[0]):
        try:
            receipt, shard = _verified(writer, column, writer.packs[source])
            for _, row in places:
                reason = receipt.refused.get(str(row))
                if reason is None:
                    offset, length = writer.packs[source].rows[row].place(column.axis)
                    values[number] = shard.read(offset, offset + length)
                else:
                    refused[number] = reason
                number += 1
        except (MissingError, DamagedError):
            return None
        for library, version in receipt.made_with.items():
            made_with[library].add(version)
    versions = {library: ", ".join(sorted(found)) for library, found in made_with.items()}
    return write_cell(writer.layout.folder, writer.size, column, pack, values, refused, versions)


def _verified(writer: Writer, column: Column, pack: Pack) -> tuple[Receipt, Shard]:
    """A cell, with its sha256 checked. Raises MissingError or DamagedError."""
    folder, name = writer.layout.folder, writer.layout.shard(column, pack.number)
    receipt = read_receipt(writer.layout, column, pack)
    data = folder.read(name)
    if hashlib.sha256(data).hexdigest() != receipt.sha256:
        raise DamagedError(f"{folder.where(name)} is damaged: its sha256 is not the one in its receipt")
    shard = Shard(
        memoryview(data), folder.where(name), column.numpy_dtype, column.frame_shape, writer.size.of(column.axis)
    )
    return receipt, shard
