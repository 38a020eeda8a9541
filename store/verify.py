"""Reading every byte of a store against its receipts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .arrays import check_arrays, recorded_columns
from .errors import DamagedError, MissingError
from .folder import Folder
from .layout import Layout
from .reader import Store, open_store
from .receipts import check_sha256, read_receipt
from .repair import find_damage


@dataclass(frozen=True)
class Finding:
    """What is not as it should be. `kind` is missing, damaged or refused; `pack` is -1 where it is not of one."""

    kind: str
    column: str
    pack: int
    utterances: tuple[str, ...]
    reason: str


def verify_at(
    location: str | Path | Folder, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Finding]:
    """`verify` of a store that may be too damaged to be opened: then what is wrong with its ledger is told.

    Raises:
        StoreError: there is no store, or it says of itself what no store does.
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
    return verify(store, progress)


def verify(store: Store, progress: Callable[[int, int], None] = lambda done, total: None) -> list[Finding]:
    """Check all cells of today's corpus: receipt, size and sha256. An empty list means that all is well."""
    ids: dict[int, dict[int, str]] = defaultdict(dict)
    for utterance in store.table:
        ids[utterance.pack][utterance.row] = utterance.id
    cells = [(column, store.packs[number]) for column in store.columns.values() for number in sorted(ids)]
    findings = []
    for done, (column, pack) in enumerate(cells):
        progress(done, len(cells))
        names = ids[pack.number]
        try:
            receipt = read_receipt(store.layout, column, pack)
            check_sha256(store.layout, column, pack, receipt)
        except MissingError as error:
            findings.append(Finding("missing", column.name, pack.number, tuple(names.values()), str(error)))
            continue
        except DamagedError as error:
            findings.append(Finding("damaged", column.name, pack.number, tuple(names.values()), str(error)))
            continue
        for row, reason in receipt.refused.items():
            if int(row) in names:
                findings.append(Finding("refused", column.name, pack.number, (names[int(row)],), reason))
    findings += [
        Finding("missing", name, -1, (), f"the description of column {name} is gone; run the same `svc extract` again")
        for name in recorded_columns(store.layout)
        if name not in store.columns
    ]
    findings += [Finding("damaged", "zarr metadata", -1, (), reason) for reason in check_arrays(store.layout)]
    progress(len(cells), len(cells))
    return findings
