"""The paths of a store's files.

corpus.zarr/
    zarr.json                    a zarr v3 group, open to any reader
    hidden/12/c/3/0              the shard of pack 3: frames 3 * pack size and on
    f0/c/3
    ledger/store.json            what the store is; with a checksum inside, as are all below
    ledger/packs/000003.json     which utterances lie in pack 3, and where
    ledger/columns/hidden/12.json  what the column is, and everything that decides its values
    ledger/utterances.json       the corpus as it is now
    ledger/tables/NAME.bin       its table, where it is large
    ledger/arrays.json           the sha256 of each zarr.json
    ledger/receipts/hidden/12/000003.json    the cell is whole: its size, sha256 and what made it
    ledger/report.json           what the last run did
    ledger/lock                  who may write
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .folder import Folder, open_folder
from .local import LocalFolder
from .schema import Column


class Layout:
    """A store's folder, and the names in it."""

    description = "ledger/store.json"
    packs = "ledger/packs"
    columns = "ledger/columns"
    utterances = "ledger/utterances.json"
    tables = "ledger/tables"
    arrays = "ledger/arrays.json"
    lock = "ledger/lock"
    report = "ledger/report.json"

    def __init__(self, location: str | Path | Folder):
        self.folder = open_folder(location)

    @property
    def root(self) -> Any:
        """The location as it was given: a Path on this machine, else a URL. For messages."""
        return self.folder.root if isinstance(self.folder, LocalFolder) else self.folder.location

    def table(self, sha256: str) -> str:
        """Of the utterance table with this SHA-256."""
        return f"{self.tables}/{sha256[:16]}.bin"

    def pack(self, number: int) -> str:
        """Of the description of a pack."""
        return f"{self.packs}/{number:06d}.json"

    def column(self, name: str) -> str:
        """Of the description of a column."""
        return f"{self.columns}/{name}.json"

    def receipt(self, column: str, pack: int) -> str:
        """Of the receipt of a column in a pack."""
        return f"ledger/receipts/{column}/{pack:06d}.json"

    def shard(self, column: Column, pack: int) -> str:
        """Of the array data of a column in a pack, as Zarr names it."""
        return f"{column.name}/c/{pack:d}" + ("/0" if column.width else "")
