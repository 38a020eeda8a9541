"""Cells: a column's values in one pack. Any process may write one; it counts once the store's writer accepts it.

A cell is rewritten in an order that never leaves a receipt beside another shard: first the old receipt is removed, then
the shard is written, then the new receipt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import shards
from .errors import DamagedError, MissingError, StoreError
from .folder import Folder
from .layout import Layout
from .receipts import Receipt, check_sha256, read_receipts
from .schema import Column, Pack, PackSize, Utterance
from .table import rows_of_pack, used_packs


def write_cell(
    location: str | Path | Folder,
    size: PackSize,
    column: Column,
    pack: Pack,
    values: Mapping[int, NDArray[Any]],
    refused: Mapping[int, str],
    made_with: Mapping[str, str],
) -> Receipt:
    """Write the shard of one cell, and return the receipt for `Writer.accept`.

    It needs no writer: other processes and machines may call it, for different cells, and again for the same one.

    Args:
        values: the values of each row of the pack, (frames, ...) in the column's dtype.
        refused: the reason for each other row.
        made_with: library versions, for information.

    Raises:
        StoreError: values are not of the row's length or the column's dtype, or are not finite.
    """
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
    data = shards.encode(frames, size.of(column.axis))
    layout = Layout(location)
    layout.folder.remove([layout.receipt(column.name, pack.number)])
    layout.folder.write(layout.shard(column, pack.number), data)
    return Receipt(
        column.name,
        pack.number,
        pack.digest,
        column.made_by,
        len(data),
        hashlib.sha256(data).hexdigest(),
        {str(row): reason for row, reason in sorted(refused.items())},
        dict(made_with),
    )


def missing_cells(
    location: str | Path | Folder,
    column: Column,
    packs: Sequence[Pack],
    utterances: Sequence[Utterance],
    check: bool = False,
) -> list[int]:
    """The packs whose cell in a column is missing, damaged, or lacks an utterance of the corpus. Writes nothing.

    A cell is whole if its receipt is whole and its shard has the recorded size; with `check`, also the recorded sha256.
    """
    used = used_packs(utterances)
    layout = Layout(location)

    def whole(number: int, receipt: Receipt) -> bool:
        try:
            if check:
                check_sha256(layout, column, packs[number], receipt)
        except (MissingError, DamagedError):
            return False
        if not receipt.refused:
            return True
        rows = rows_of_pack(utterances, number)
        return not any(int(row) in rows for row in receipt.refused)

    # A planned pack that is not written yet has no cells.
    receipts = read_receipts(layout, column, [packs[number] for number in used if number < len(packs)])
    return [
        number for number, receipt in receipts.items() if not isinstance(receipt, Receipt) or not whole(number, receipt)
    ]
