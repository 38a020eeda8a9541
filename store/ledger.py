"""The description of a store, and the corpus as it is now."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from .checksummed_json import read_checksummed, write_checksummed
from .errors import DamagedError, MissingError, StoreError
from .layout import Layout
from .packs import read_packs, stored_packs
from .schema import FORMAT, FORMAT_VERSION, Pack, PackSize, Utterance, check_fields
from .table import UtteranceTable, used_packs

JSON_ROWS = 20_000  # utterances of which the table is JSON; it opens in half a second


def read_description(layout: Layout) -> dict[str, Any]:
    """The description of a store, `ledger/store.json`. Raises StoreError when it is no store, or of another version."""
    try:
        description = read_checksummed(layout.folder, layout.description)
    except MissingError as error:
        raise StoreError(f"{layout.root} is no unit store: it has no {layout.description}") from error
    if description.get("format") != FORMAT:
        raise StoreError(f"{layout.root} is no unit store: its {layout.description} is of something else")
    if description.get("version") != FORMAT_VERSION:
        raise StoreError(
            f"{layout.root} is a store of version {description.get('version')}, this svc reads version {FORMAT_VERSION}"
        )
    try:
        PackSize.from_json(description["size"])
        rate = dict(description["identity"]).get("mel_frame_rate", 1.0)
        if type(rate) not in (int, float) or not 0 < rate < 1e6:
            raise ValueError(f"{rate!r} mel frames a second")
    except (KeyError, TypeError, ValueError) as error:
        where = layout.folder.where(layout.description)
        raise DamagedError(f"{where} is no description that this version understands") from error
    return description


def read_corpus(layout: Layout, size: PackSize) -> tuple[list[Pack], Sequence[Utterance]]:
    """The packs and the corpus as it is now. The packs of a large corpus are read when they are used.

    Raises:
        StoreError: nothing was ever committed.
        DamagedError: the table or a pack differs from what was written.
    """
    digests, utterances = read_table(layout)
    if isinstance(utterances, UtteranceTable):
        return stored_packs(layout, digests, size), utterances
    packs = read_packs(layout, digests)
    for pack in packs:
        if not pack.fits(size):
            raise DamagedError(f"{layout.folder.where(layout.pack(pack.number))} holds more than a pack has room for")
    if any(u.row >= len(packs[u.pack].rows) for u in utterances):
        raise DamagedError(f"{layout.folder.where(layout.utterances)} names rows that its packs do not have")
    return packs, utterances


def read_table(layout: Layout) -> tuple[list[str | None], Sequence[Utterance]]:
    """The digests of all packs by number (None: retired), and the utterances, each in one of these packs.

    Raises:
        StoreError: nothing was ever committed.
        DamagedError: the table differs from what was written, or is lost.
    """
    where = layout.folder.where(layout.utterances)
    try:
        value = read_checksummed(layout.folder, layout.utterances)
    except MissingError as error:
        if any(layout.folder.files("ledger/receipts")):
            raise DamagedError(f"{where} is gone; run the same `svc extract` with --check to make it anew") from error
        raise StoreError(f"{layout.root} holds no utterances yet; run `svc extract` again to fill it") from error
    try:
        digests = value["packs"]
        if not all(digest is None or type(digest) is str for digest in digests):
            raise TypeError("a digest that is no text")
        utterances = _read_columns(layout, value["file"]) if "file" in value else _utterances(value["table"])
        if any(number >= len(digests) or digests[number] is None for number in used_packs(utterances)):
            raise ValueError("an utterance in a pack that does not count")
    except (KeyError, IndexError, ValueError, TypeError) as error:
        if isinstance(error, DamagedError):
            raise
        raise DamagedError(f"{where} is no utterance table that this version understands") from error
    return digests, utterances


def _utterances(columns: dict[str, list[Any]]) -> list[Utterance]:
    rows = zip(*(columns[name] for name in Utterance.__dataclass_fields__), strict=True)
    return [check_fields(Utterance(*row)) for row in rows]


def _read_columns(layout: Layout, sha256: str) -> UtteranceTable:
    """The table in a file of its own, by its sha256."""
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError("no sha256")
    name = layout.table(sha256)
    where = layout.folder.where(name)
    try:
        view = layout.folder.view(name)
        data = view[0 : len(view)]
    except MissingError as error:
        raise DamagedError(f"{where} is gone; run the same `svc extract` with --check to make it anew") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedError(f"{where} is damaged: its sha256 is not the one recorded")
    return UtteranceTable.from_bytes(data, where)


def write_corpus(layout: Layout, packs: list[Pack], utterances: Sequence[Utterance]) -> None:
    """Commit packs and the utterances of the corpus. The same corpus gives the same bytes.

    The table of a small corpus is JSON; that of a large one is a file of its own, which is there before it is named.
    """
    digests = [None if pack.retired else pack.digest for pack in packs]
    if len(utterances) <= JSON_ROWS:
        names = list(Utterance.__dataclass_fields__)
        table = {name: [getattr(u, name) for u in utterances] for name in names}
        write_checksummed(layout.folder, layout.utterances, {"packs": digests, "table": table})
        layout.folder.remove(layout.folder.files(layout.tables))
        return
    data = UtteranceTable.of(utterances, packs).to_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    layout.folder.write(layout.table(sha256), data)
    write_checksummed(layout.folder, layout.utterances, {"packs": digests, "file": sha256})
    layout.folder.remove(name for name in layout.folder.files(layout.tables) if name != layout.table(sha256))
