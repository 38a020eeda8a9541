"""Writing a store: one owner at a time, cells written whole, receipts last."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray

from . import shards
from .arrays import write_arrays
from .columns import check_same, read_columns, write_column
from .errors import DamagedError, MissingError, StoreError
from .files import write_sealed, write_whole
from .layout import Layout
from .ledger import read_corpus, read_description, write_corpus
from .packs import Piece, fill, write_packs
from .receipts import Receipt, read_receipt, write_receipt
from .schema import FORMAT_VERSION, Column, Pack, PackSize, Utterance


class Writer:
    """The one owner of a store, for as long as `open_writer` lasts."""

    def __init__(self, layout: Layout, size: PackSize):
        self.layout = layout
        self.size = size
        self.packs: list[Pack] = []
        self.utterances: list[Utterance] = []  # the corpus as it is now
        if layout.utterances.exists():
            self.packs, self.utterances = read_corpus(layout)
        self.columns = read_columns(layout)

    def add(self, pieces: Iterable[Piece]) -> list[Pack]:
        """Give utterances a place, in new packs, which count when `set_utterances` commits them."""
        packs = fill(pieces, self.size, first_number=len(self.packs))
        write_packs(self.layout, packs)
        self.packs += packs
        return packs

    def set_utterances(self, utterances: list[Utterance]) -> None:
        """Say what the corpus is now."""
        write_corpus(self.layout, self.packs, utterances)
        self.utterances = utterances

    def check_columns(self, columns: Iterable[Column]) -> None:
        """Raises SettingsError where a known column was made with other settings."""
        for column in columns:
            if known := self.columns.get(column.name):
                check_same(
                    f"column {column.name} of {self.layout.root}",
                    known.facts,
                    column.facts,
                    "Ask for the settings of the store, or write to another one with --store.",
                )

    def set_columns(self, columns: Collection[Column]) -> None:
        """Make room for columns, new or known, over all packs.

        Raises:
            SettingsError: a known column was made with other settings.
        """
        self.check_columns(columns)
        for column in columns:
            if column != self.columns.get(column.name):
                write_column(self.layout, column)
            self.columns[column.name] = column
        write_arrays(self.layout, self.columns.values(), self.packs, self.size)

    def missing(self, column: Column) -> list[int]:
        """The packs whose cell in a column is not there, not whole, or lacks an utterance of today's corpus."""
        wanted = {(u.pack, u.row) for u in self.utterances}
        used = {pack for pack, _ in wanted}
        numbers = []
        for pack in self.packs:
            if pack.number not in used:
                continue
            try:
                receipt = read_receipt(self.layout, column, pack)
            except (MissingError, DamagedError):
                numbers.append(pack.number)
                continue
            if any((pack.number, int(row)) in wanted for row in receipt.refused):
                numbers.append(pack.number)
        return numbers

    def put(
        self,
        column: Column,
        pack: Pack,
        values: Mapping[int, NDArray[Any]],
        refused: Mapping[int, str],
        made_with: dict[str, str],
    ) -> None:
        """Write one cell: the values of each row of a pack, (frames, ...) in the column's dtype, or why it has none."""
        assert values.keys() | refused.keys() == set(range(len(pack.rows)))
        ends = [sum(row.place(column.axis)) for row in pack.rows]
        frames = np.zeros((max(ends), *column.frame_shape), column.numpy_dtype)
        for number, value in values.items():
            offset, length = pack.rows[number].place(column.axis)
            if value.shape != (length, *column.frame_shape) or value.dtype != column.numpy_dtype:
                raise StoreError(
                    f"{column.name}, pack {pack.number}, row {number}: {value.dtype} {value.shape} came, "
                    f"{column.dtype} {(length, *column.frame_shape)} was expected"
                )
            if column.numpy_dtype.kind == "f" and not np.isfinite(value).all():
                raise StoreError(f"{column.name}, pack {pack.number}, row {number}: values are not all finite")
            frames[offset : offset + length] = value
        data = shards.encode(frames, self.size.of(column.axis))
        write_whole(self.layout.shard(column, pack.number), data)
        write_receipt(
            self.layout,
            Receipt(
                column.name,
                pack.number,
                pack.digest,
                column.made_by,
                len(data),
                hashlib.sha256(data).hexdigest(),
                {str(row): reason for row, reason in sorted(refused.items())},
                made_with,
            ),
        )


@contextmanager
def open_writer(
    root: Path, size: PackSize, identity: dict[str, Any], waiting: Callable[[], None] = lambda: None
) -> Iterator[Writer]:
    """Open a store for writing, making it if there is none; one writer at a time, the next one waits.

    Args:
        root: the store's folder.
        size: room in a pack, if the store is new; an old one keeps its own.
        identity: what holds for the whole store (how recordings are sliced, frame rates).
        waiting: called once if another writer has the store.

    Raises:
        StoreError: the folder is something else, or a store of another version.
        SettingsError: the store has another identity.
    """
    layout = Layout(root)
    _check_ours(layout)
    layout.ledger.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(layout.lock)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        waiting()
        lock.acquire()
    try:
        for left in root.rglob(".*.partial"):
            left.unlink(missing_ok=True)
        if not layout.description.exists():
            write_sealed(
                layout.description,
                {
                    "format": "svc unit store",
                    "version": FORMAT_VERSION,
                    "size": asdict(size),
                    "identity": identity,
                },
            )
        description = read_description(layout)
        check_same(
            f"store {root}",
            description["identity"],
            identity,
            "Ask for the settings of the store, or give another --store.",
        )
        yield Writer(layout, PackSize(**description["size"]))
    finally:
        lock.release()


def _check_ours(layout: Layout) -> None:
    """Raises StoreError where the folder is something else than a store, or one that was hardly begun."""
    if not layout.root.exists() or layout.description.exists():
        return
    begun = {layout.ledger, layout.lock}
    filled = layout.packs.exists() or layout.columns.exists()
    foreign = not layout.root.is_dir() or any(
        path not in begun and not path.name.startswith(f".{layout.description.name}.")
        for path in layout.root.rglob("*")
    )
    # The description comes first of all; it is asked for once more, as another writer may have made it meanwhile.
    if layout.description.exists():
        return
    if filled:
        raise DamagedError(f"{layout.description} is gone, though the rest of the store is there")
    if foreign:
        raise StoreError(f"{layout.root} exists and is no unit store; give another --store")
