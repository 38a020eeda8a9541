"""A receipt says that a cell is on disk, whole, and what made it. What has none does not exist."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

from .errors import DamagedError, MissingError
from .files import read_sealed, write_sealed
from .layout import Layout
from .schema import Column, Pack


@dataclass(frozen=True)
class Receipt:
    """`size` and `sha256` are the shard's. `refused` gives, by row, why an utterance has no values here.

    `made_with` names library versions: for the record, they do not decide whether a cell counts.
    """

    column: str
    pack: int
    pack_digest: str
    made_by: str
    size: int
    sha256: str
    refused: dict[str, str] = field(default_factory=dict)
    made_with: dict[str, str] = field(default_factory=dict)


def write_receipt(layout: Layout, receipt: Receipt) -> None:
    write_sealed(layout.receipt(receipt.column, receipt.pack), asdict(receipt))


def read_receipt(layout: Layout, column: Column, pack: Pack) -> Receipt:
    """The receipt of a cell, checked against the pack and the column it must belong to, and the shard's size.

    Raises:
        MissingError: there is none, or it is of another pack or other settings.
        DamagedError: the receipt was changed, or its shard is gone or has another size.
    """
    path = layout.receipt(column.name, pack.number)
    value: dict[str, Any] = read_sealed(path)
    try:
        receipt = Receipt(**value)
    except TypeError as error:
        raise DamagedError(f"{path} is no receipt that this version understands") from error
    belongs = (receipt.column, receipt.pack, receipt.pack_digest, receipt.made_by)
    if belongs != (column.name, pack.number, pack.digest, column.made_by):
        raise MissingError(f"{path} is of another column or pack")
    shard = layout.shard(column, pack.number)
    size = shard.stat().st_size if shard.is_file() else None
    if size != receipt.size:
        found = "it is gone" if size is None else f"it has {size}"
        raise DamagedError(
            f"{shard} is damaged: {receipt.size} bytes were written, {found}; "
            f"run the same `svc extract` again to make it anew"
        )
    return receipt


def check_sha256(layout: Layout, column: Column, pack: Pack, receipt: Receipt) -> None:
    """Raises DamagedError unless the shard's bytes are those that were written."""
    shard = layout.shard(column, pack.number)
    with shard.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != receipt.sha256:
        raise DamagedError(f"{shard} is damaged: its sha256 is not the one in its receipt")
