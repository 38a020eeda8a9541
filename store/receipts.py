"""Receipts: one confirms that a cell is whole on disk, and records its settings. A cell without one is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from .checksummed_json import check_checksum, write_checksummed
from .errors import DamagedError, MissingError
from .layout import Layout
from .schema import Column, Pack, check_fields


@dataclass(frozen=True)
class Receipt:
    """`size` and `sha256` are the shard's. `refused` gives, by row, why an utterance has no values here.

    `made_with` has library versions for information; they do not decide whether a cell counts.
    """

    column: str
    pack: int
    pack_digest: str
    made_by: str
    size: int
    sha256: str
    refused: dict[str, str] = field(default_factory=dict, hash=False)
    made_with: dict[str, str] = field(default_factory=dict, hash=False)


def write_receipt(layout: Layout, receipt: Receipt) -> None:
    """Write the receipt of a column in a pack, with a checksum."""
    write_checksummed(layout.folder, layout.receipt(receipt.column, receipt.pack), asdict(receipt))


def read_receipt(layout: Layout, column: Column, pack: Pack) -> Receipt:
    """The receipt of a cell, checked against the pack and the column it must belong to, and the shard's size.

    Raises:
        MissingError: there is none, or it is of another pack or other settings.
        DamagedError: the receipt was changed, or its shard is gone or has another size.
    """
    data = layout.folder.read(layout.receipt(column.name, pack.number))
    return _checked(layout, column, pack, data, layout.folder.size(layout.shard(column, pack.number)))


def read_receipts(
    layout: Layout, column: Column, packs: Iterable[Pack]
) -> dict[int, Receipt | MissingError | DamagedError]:
    """`read_receipt` of many packs, by number, or the error that it would raise. Two listings, all reads at once."""
    packs = list(packs)
    names = {pack.number: layout.receipt(column.name, pack.number) for pack in packs}
    sizes = layout.folder.files(f"{column.name}/c")
    data = layout.folder.read_all(names.values())
    found: dict[int, Receipt | MissingError | DamagedError] = {}
    for pack in packs:
        name = names[pack.number]
        try:
            if name not in data:
                raise MissingError(f"{layout.folder.where(name)} does not exist")
            found[pack.number] = _checked(
                layout, column, pack, data[name], sizes.get(layout.shard(column, pack.number))
            )
        except (MissingError, DamagedError) as error:
            found[pack.number] = error
    return found


def _checked(layout: Layout, column: Column, pack: Pack, data: bytes, size: int | None) -> Receipt:
    """A receipt, if it is of this cell and the shard has the recorded size."""
    where = layout.folder.where(layout.receipt(column.name, pack.number))
    try:
        receipt = check_fields(Receipt(**check_checksum(data, where)))
        if not all(row.isascii() and row.isdigit() for row in receipt.refused):
            raise TypeError(f"rows {', '.join(receipt.refused)}")
    except TypeError as error:
        raise DamagedError(f"{where} is no receipt that this version understands") from error
    belongs = (receipt.column, receipt.pack, receipt.pack_digest, receipt.made_by)
    if belongs != (column.name, pack.number, pack.digest, column.made_by):
        raise MissingError(f"{where} is of another column or pack")
    if size != receipt.size:
        found = "it is gone" if size is None else f"it has {size}"
        raise DamagedError(
            f"{layout.folder.where(layout.shard(column, pack.number))} is damaged: {receipt.size} bytes were written, "
            f"{found}; run the same `svc extract` again to make it anew"
        )
    return receipt


def check_sha256(layout: Layout, column: Column, pack: Pack, receipt: Receipt) -> None:
    """Raises DamagedError unless the shard has the recorded sha256."""
    shard = layout.shard(column, pack.number)
    if layout.folder.sha256(shard) != receipt.sha256:
        raise DamagedError(f"{layout.folder.where(shard)} is damaged: its sha256 is not the one in its receipt")
