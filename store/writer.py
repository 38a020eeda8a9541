"""Writing a store: one owner at a time, cells written whole, receipts last."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .arrays import arrays_are_current, write_arrays
from .cells import missing_cells
from .checksummed_json import write_checksummed
from .columns import check_same, read_columns, write_column
from .errors import DamagedError, StoreError
from .folder import Folder
from .layout import Layout
from .ledger import read_corpus, read_description, write_corpus
from .packs import NewRow, fill, write_packs
from .receipts import Receipt, write_receipt
from .schema import FORMAT, FORMAT_VERSION, Column, Pack, PackSize, Utterance
from .table import UtteranceTable


class Writer:
    """The one writer of a store, for as long as `open_writer` lasts.

    Before each write it checks that it still holds the lock; StoreError when it was lost.
    """

    def __init__(self, layout: Layout, size: PackSize, held: Callable[[], None] = lambda: None):
        self.layout = layout
        self.size = size
        self._held = held
        self.packs: list[Pack] = []  # by number; retired ones are empty
        self.utterances: Sequence[Utterance] = []  # the corpus as it is now
        if layout.folder.size(layout.utterances) is not None:
            self.packs, self.utterances = read_corpus(layout, size)
        self.columns = read_columns(layout)

    def add(self, spans: Iterable[NewRow]) -> list[Pack]:
        """Give utterances a place, in new packs, which count when `set_utterances` commits them."""
        packs = fill(spans, self.size, first_number=len(self.packs))
        self._held()
        write_packs(self.layout, packs)
        self.packs += packs
        return packs

    def set_utterances(self, utterances: Sequence[Utterance]) -> None:
        """Set the utterances of the corpus."""
        self._held()
        write_corpus(self.layout, self.packs, utterances)
        self.utterances = utterances

    def check_columns(self, columns: Iterable[Column], replace: Set[str] = frozenset()) -> None:
        """Raises SettingsError if an existing column was made with other settings, and may not be replaced."""
        for column in columns:
            if (known := self.columns.get(column.name)) and column.name not in replace:
                check_same(
                    f"column {column.name} of {self.layout.root}",
                    known.metadata,
                    column.metadata,
                    "Ask for the settings of the store, or write to another one with --store.",
                )

    def set_columns(self, columns: Collection[Column], replace: Set[str] = frozenset()) -> None:
        """Add or extend columns over all packs.

        The settings of those in `replace` may differ: then all cells of the old column are removed before the new
        description is written, so that no reader, svc or zarr, ever reads both.

        Raises:
            SettingsError: an existing column was made with other settings, and may not be replaced.
        """
        self.check_columns(columns, replace)
        self._held()
        if self._described(columns):
            return
        for column in columns:
            known = self.columns.get(column.name)
            if known is not None and known.made_by != column.made_by:
                remove_cells(self.layout, [known], range(len(self.packs)))
            if column != known:
                write_column(self.layout, column)
            self.columns[column.name] = column
        write_arrays(self.layout, self.columns.values(), self.packs, self.size)

    def _described(self, columns: Collection[Column]) -> bool:
        """Whether a large store already describes these columns over all of its packs, so that no pack is read."""
        if not isinstance(self.utterances, UtteranceTable) or any(c != self.columns.get(c.name) for c in columns):
            return False
        first = next(iter(columns), None)
        return first is not None and arrays_are_current(self.layout, first, len(self.packs) * self.size.of(first.axis))

    def missing(self, column: Column, check: bool = False) -> list[int]:
        """The packs whose cell in a column must be computed, as found by `missing_cells`."""
        return missing_cells(self.layout.folder, column, self.packs, self.utterances, check)

    def accept(self, receipt: Receipt) -> None:
        """Write the receipt of a cell from `write_cell`, so that it counts.

        Raises:
            StoreError: the store does not have its column or pack, or its shard differs from what was written.
        """
        cell = f"column {receipt.column} of pack {receipt.pack} in {self.layout.root}"
        column = self.columns.get(receipt.column)
        pack = self.packs[receipt.pack] if 0 <= receipt.pack < len(self.packs) else None
        if column is None or pack is None or pack.retired:
            raise StoreError(f"{cell} was computed, but the store has no such column or pack")
        if (receipt.made_by, receipt.pack_digest) != (column.made_by, pack.digest):
            raise StoreError(f"{cell} was computed with other settings or for other utterances than the store's")
        size = self.layout.folder.size(self.layout.shard(column, pack.number))
        if size != receipt.size:
            raise StoreError(
                f"{cell} was computed, but its shard has {size or 0} bytes where {receipt.size} were written; "
                f"do all workers write to the same place?"
            )
        self._held()
        write_receipt(self.layout, receipt)

    def sweep(self) -> None:
        """Remove the files of packs that do not count: retired ones, and those of a run that was stopped."""
        folder = self.layout.folder
        counted = {self.layout.pack(pack.number) for pack in self.packs if not pack.retired}
        left = [name for name in folder.files(self.layout.packs) if name not in counted]
        numbers = sorted(int(found[1]) for name in left if (found := re.search(r"/(\d{6,})\.json$", name)))
        if not numbers:
            return
        self._held()
        if numbers[0] < len(self.packs):
            # The run that retired a pack may have been stopped before it wrote the arrays.
            write_arrays(self.layout, self.columns.values(), self.packs, self.size)
        remove_cells(self.layout, self.columns.values(), numbers)
        folder.remove(self.layout.pack(number) for number in numbers)  # last, because they show that there is work left

    def write_report(self, report: dict[str, Any]) -> None:
        """Write the report of a run, as JSON, into the ledger."""
        self._held()
        write_checksummed(self.layout.folder, self.layout.report, report)


def remove_cells(layout: Layout, columns: Iterable[Column], packs: Collection[int]) -> None:
    """Remove cells, their receipts first: a reader finds each cell whole before, and missing after that."""
    columns = list(columns)
    layout.folder.remove(layout.receipt(column.name, pack) for column in columns for pack in packs)
    layout.folder.remove(layout.shard(column, pack) for column in columns for pack in packs)


@contextmanager
def open_writer(
    location: str | Path | Folder,
    size: PackSize,
    identity: dict[str, Any],
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[Writer]:
    """Open a store for writing, making it if there is none; one writer at a time, the next one waits.

    Args:
        location: the store's folder, or the URL of one.
        size: room in a pack, if the store is new; an old one keeps its own.
        identity: settings of the whole store (slicing of recordings, frame rates).
        waiting: called once if another writer has the store.

    Raises:
        StoreError: the folder is something else, or a store of another version.
        SettingsError: the store has another identity.
    """
    layout = Layout(location)
    folder = layout.folder
    check_ours(layout)
    with folder.lock(layout.lock, waiting) as held:
        folder.tidy()
        if folder.size(layout.description) is None:
            made: dict[str, Any] = {
                "format": FORMAT,
                "version": FORMAT_VERSION,
                "size": asdict(size),
                "identity": identity,
            }
            write_checksummed(folder, layout.description, made)
        description = read_description(layout)
        check_same(
            f"store {layout.root}",
            description["identity"],
            identity,
            "Ask for the settings of the store, or give another --store.",
        )
        writer = Writer(layout, PackSize(**description["size"]), held)
        if writer.packs:
            writer.sweep()
        try:
            yield writer
        except KeyboardInterrupt:
            folder.tidy()  # files left by workers that were stopped with this process
            raise
        folder.tidy()  # files left by workers that were killed


def check_ours(layout: Layout) -> None:
    """Raises StoreError where the folder is something else than a store of this version, or one hardly begun."""
    folder = layout.folder
    if folder.size(layout.description) is not None:
        read_description(layout)
        return
    foreign = any(name != "ledger" for name in folder.entries())
    filled = False
    for name in folder.files("ledger"):
        filled |= name.startswith((f"{layout.packs}/", f"{layout.columns}/"))
        foreign |= name != layout.lock and not name.startswith("ledger/.store.json.")
    # The description is written first; read it again, since another writer may have made it meanwhile.
    if folder.size(layout.description) is not None:
        return
    if filled:
        raise DamagedError(f"{folder.where(layout.description)} is gone, though the rest of the store is there")
    if foreign:
        raise StoreError(f"{layout.root} exists and is no unit store; give another --store")
