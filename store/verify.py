"""Reading every byte of a store against its receipts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .arrays import check_arrays, recorded_columns
from .errors import DamagedError, MissingError
from .folder import Folder
from .layout import Layout
from .reader import Store, open_store
from .receipts import check_sha256, read_receipt
from .repair import find_damage
from .schema import Column, Pack
from .table import rows_of_pack, used_packs

THREADS = 8  # that read and hash shards; both leave Python free


@dataclass(frozen=True)
class Finding:
    """A fault. `kind` is missing, damaged or refused; `pack` is -1 if the fault is in no pack."""

    kind: str
    column: str
    pack: int
    utterances: tuple[str, ...]
    reason: str


def verify_at(
    location: str | Path | Folder,
    progress: Callable[[int, int], None] = lambda done, total: None,
    resume: Path | None = None,
) -> list[Finding]:
    """`verify` of a store that may be too damaged to be opened: then the findings are those of its ledger.

    Raises:
        StoreError: there is no store, or its description is of something else.
    """
    try:
        store = open_store(location)
    except DamagedError:
        damages = find_damage(Layout(location))
        if not damages:
            raise
        return [
            Finding("damaged", damage.column or "ledger", damage.pack, damage.utterances, damage.reason)
            for damage in damages
        ]
    return verify(store, progress, resume)


def verify(
    store: Store,
    progress: Callable[[int, int], None] = lambda done, total: None,
    resume: Path | None = None,
    threads: int = THREADS,
) -> list[Finding]:
    """Check all cells of today's corpus: receipt, size and sha256. An empty list means that all is well.

    Args:
        resume: a file that records which cells were whole, with their sha256: a stopped run continues with the same
            file, and checks the others. It is valid for the moment when it was written.
        threads: how many shards are read at once.
    """
    packs = [store.packs[number] for number in used_packs(store.table)]
    findings = [found for pack in packs if (found := _check_pack(store, pack))]
    broken = {finding.pack for finding in findings}
    cells = [(column, pack) for column in store.columns.values() for pack in packs if pack.number not in broken]
    with _Progress(resume) as known, ThreadPoolExecutor(threads) as pool:
        checks = pool.map(lambda cell: _check_cell(store, cell[0], cell[1], known), cells)
        for done, wrong in enumerate(checks):
            progress(done, len(cells))
            findings += wrong
    findings += [
        Finding("missing", name, -1, (), f"the description of column {name} is gone; run the same `svc extract` again")
        for name in recorded_columns(store.layout)
        if name not in store.columns
    ]
    findings += [Finding("damaged", "zarr metadata", -1, (), reason) for reason in check_arrays(store.layout)]
    progress(len(cells), len(cells))
    return findings


class _Progress:
    """Cells that were found whole, in a file of one line each: column, pack, sha256."""

    def __init__(self, path: Path | None):
        self._path = path
        self._known = set(path.read_text("utf-8").splitlines()) if path is not None and path.exists() else set()
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8") if path is not None else None

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __contains__(self, line: str) -> bool:
        return line in self._known

    def add(self, line: str) -> None:
        if self._file is not None:
            with self._lock:
                self._file.write(line + "\n")
                self._file.flush()


def _check_pack(store: Store, pack: Pack) -> Finding | None:
    """Of a large store, whose packs are not read when it is opened."""
    try:
        pack.rows  # noqa: B018 - reading them checks them
    except DamagedError as error:
        ids = tuple(rows_of_pack(store.table, pack.number).values())
        return Finding("damaged", "ledger", pack.number, ids, str(error))
    return None


def _check_cell(store: Store, column: Column, pack: Pack, known: _Progress) -> list[Finding]:
    def names() -> dict[int, str]:
        return rows_of_pack(store.table, pack.number)

    try:
        receipt = read_receipt(store.layout, column, pack)
        line = f"{column.name} {pack.number} {receipt.sha256}"
        if line not in known:
            check_sha256(store.layout, column, pack, receipt)
            known.add(line)
    except MissingError as error:
        return [Finding("missing", column.name, pack.number, tuple(names().values()), str(error))]
    except DamagedError as error:
        return [Finding("damaged", column.name, pack.number, tuple(names().values()), str(error))]
    if not receipt.refused:
        return []
    ids = names()
    return [
        Finding("refused", column.name, pack.number, (ids[int(row)],), reason)
        for row, reason in receipt.refused.items()
        if int(row) in ids
    ]
