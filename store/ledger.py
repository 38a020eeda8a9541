"""What a store says of itself, and the corpus as it is now."""

from __future__ import annotations

from typing import Any

from .errors import DamagedError, MissingError, StoreError
from .layout import Layout
from .packs import read_packs
from .schema import FORMAT, FORMAT_VERSION, Pack, PackSize, Utterance
from .sealed import read_sealed, write_sealed


def read_description(layout: Layout) -> dict[str, Any]:
    """What a store says of itself. Raises StoreError when it is no store, or of another version."""
    try:
        description = read_sealed(layout.folder, layout.description)
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
        dict(description["identity"])
    except (KeyError, TypeError, ValueError) as error:
        where = layout.folder.where(layout.description)
        raise DamagedError(f"{where} is no description that this version understands") from error
    return description


def read_corpus(layout: Layout) -> tuple[list[Pack], list[Utterance]]:
    """The packs and the corpus as it is now.

    Raises:
        StoreError: nothing was ever committed.
        DamagedError: the table or a pack is not what was written.
    """
    where = layout.folder.where(layout.utterances)
    try:
        value = read_sealed(layout.folder, layout.utterances)
    except MissingError as error:
        raise StoreError(f"{layout.root} holds no utterances yet; run `svc extract` again to fill it") from error
    try:
        packs = read_packs(layout, value["packs"])
        columns = value["table"]
        rows = zip(*(columns[name] for name in Utterance.__dataclass_fields__), strict=True)
        utterances = [Utterance(*row) for row in rows]
        places = [packs[u.pack].rows[u.row] for u in utterances if u.pack >= 0 and u.row >= 0]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise DamagedError(f"{where} is no utterance table that this version understands") from error
    if len(places) != len(utterances):
        raise DamagedError(f"{where} names places before the first")
    return packs, utterances


def write_corpus(layout: Layout, packs: list[Pack], utterances: list[Utterance]) -> None:
    """Commit packs and say what the corpus is now. Columnar, and nothing that varies: one corpus, the same bytes."""
    names = list(Utterance.__dataclass_fields__)
    table = {name: [getattr(u, name) for u in utterances] for name in names}
    digests = [pack.digest if pack.rows else None for pack in packs]
    write_sealed(layout.folder, layout.utterances, {"packs": digests, "table": table})
