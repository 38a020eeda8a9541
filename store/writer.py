"""Writing a store: one owner at a time, cells written whole, receipts last."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray

from . import shards
from .columns import check_same, read_columns, write_column
from .errors import DamagedError, MissingError, StoreError
from .files import write_sealed, write_whole
from .layout import Layout
from .ledger import read_description, read_utterances, write_utterances
from .packs import Piece, fill, read_packs, write_packs
from .receipts import Receipt, read_receipt, write_receipt
from .schema import FORMAT_VERSION, INNER_FRAMES, MEL, UNIT, Column, Pack, PackSize, Utterance


class Writer:
    """The one owner of a store, for as long as `open_writer` lasts."""

    def __init__(self, layout: Layout, size: PackSize):
        self.layout = layout
        self.size = size
        self.packs = read_packs(layout)
        self.columns = read_columns(layout)

    def utterances(self) -> list[Utterance]:
        """The corpus as the last run left it."""
        return read_utterances(self.layout) if self.layout.utterances.exists() else []

    def add(self, pieces: Iterable[Piece]) -> list[Pack]:
        """Give utterances a place, in new packs."""
        packs = fill(pieces, self.size, first_number=len(self.packs))
        write_packs(self.layout, packs)
        self.packs += packs
        return packs

    def set_utterances(self, utterances: list[Utterance]) -> None:
        """Say what the corpus is now."""
        write_utterances(self.layout, utterances)

    def set_columns(self, columns: Iterable[Column]) -> None:
        """Make room for columns, new or known, over all packs.

        Raises:
            SettingsError: a known column was made with other settings.
        """
        for column in columns:
            if known := self.columns.get(column.name):
                check_same(
                    f"column {column.name} of {self.layout.root}",
                    known.settings,
                    column.settings,
                    "Ask for the settings of the store, or write to another one with --store.",
                )
        import zarr

        group = zarr.open_group(self.layout.root, mode="a", zarr_format=3, use_consolidated=False)
        for column in columns:
            if column != self.columns.get(column.name):
                write_column(self.layout, column)
                self.columns[column.name] = column
        for column in self.columns.values():
            _describe_array(group, column, len(self.packs) * self.size.of(column.axis), self.size)
        for axis in (UNIT, MEL):
            _describe_rows(group, axis, self.packs, self.size)
        with warnings.catch_warnings():
            # One file with all metadata opens faster, in xarray above all; zarr warns that the spec is not final.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(self.layout.root, zarr_format=3)

    def missing(self, column: Column) -> list[int]:
        """The packs whose cell in a column is not there, not whole, or lacks an utterance of today's corpus."""
        wanted = {(u.pack, u.row) for u in self.utterances()}
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
    if root.exists() and not layout.ledger.is_dir() and (not root.is_dir() or any(root.iterdir())):
        raise StoreError(f"{root} exists and is no unit store; give another --store")
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
            import zarr

            zarr.open_group(root, mode="a", zarr_format=3, attributes={"Conventions": "CF-1.12"})
            # A group of its own, so that zarr readers do not wonder what the folder is.
            zarr.open_group(layout.ledger, mode="a", zarr_format=3)
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


def _describe_array(group: Any, column: Column, frames: int, size: PackSize) -> None:
    """Create or lengthen the zarr array that describes a column's shards to any zarr reader."""
    from zarr.codecs import Crc32cCodec

    if column.name in group:
        array = group[column.name]
        if array.shape[0] < frames:
            array.resize((frames, *column.frame_shape))
        return
    group.create_array(
        column.name,
        shape=(frames, *column.frame_shape),
        chunks=(INNER_FRAMES, *column.frame_shape),
        shards=(size.of(column.axis), *column.frame_shape),
        dtype=column.numpy_dtype,
        compressors=[Crc32cCodec()],
        fill_value=0,
        dimension_names=[f"{column.axis}_frame", column.name.replace("/", "_") + "_bin"][: 2 if column.width else 1],
        attributes={"units": column.unit, "settings": column.settings},
    )


def _describe_rows(group: Any, axis: str, packs: list[Pack], size: PackSize) -> None:
    """CF contiguous ragged array: the length of every row along an axis, the unused rest of each pack as one more."""
    lengths: list[int] = []
    for pack in packs:
        rows = [row.place(axis)[1] for row in pack.rows]
        lengths += [*rows, size.of(axis) - sum(rows)]
    name = f"{axis}_row_size"
    values = np.array(lengths, np.int32)
    if name in group and np.array_equal(group[name][:], values):
        return
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=(max(1, len(values)),),
        dtype=values.dtype,
        dimension_names=["row"],
        attributes={
            "sample_dimension": f"{axis}_frame",
            "long_name": "frames; each pack's last row is unused room",
        },
        overwrite=True,
    )
    array[:] = values
