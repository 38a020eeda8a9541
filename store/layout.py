"""Where things lie in a store's folder.

corpus.zarr/
    zarr.json                    a zarr v3 group, open to any reader
    hidden/12/c/3/0              the shard of pack 3: frames 3 * pack size and on
    f0/c/3
    ledger/store.json            what the store is; sealed, as are all below
    ledger/packs/000003.json     which utterances lie in pack 3, and where
    ledger/columns/hidden/12.json  what the column is, and everything that decides its values
    ledger/utterances.json       the corpus as it is now
    ledger/arrays.json           the sha256 of each zarr.json
    ledger/receipts/hidden/12/000003.json    the cell is whole: its size, sha256 and what made it
"""

from __future__ import annotations

from pathlib import Path

from .schema import Column


class Layout:
    """The paths inside one store."""

    def __init__(self, root: Path):
        self.root = root
        self.ledger = root / "ledger"
        self.description = self.ledger / "store.json"
        self.packs = self.ledger / "packs"
        self.columns = self.ledger / "columns"
        self.utterances = self.ledger / "utterances.json"
        self.arrays = self.ledger / "arrays.json"
        self.report = self.ledger / "report.json"
        self.lock = self.ledger / "lock"

    def pack(self, number: int) -> Path:
        return self.packs / f"{number:06d}.json"

    def column(self, name: str) -> Path:
        return self.columns / f"{name}.json"

    def receipt(self, column: str, pack: int) -> Path:
        return self.ledger / "receipts" / column / f"{pack:06d}.json"

    def shard(self, column: Column, pack: int) -> Path:
        return self.root / column.name / "c" / str(pack) / ("0" if column.width else "")
