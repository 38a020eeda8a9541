"""What a store says of itself, and the corpus as it is now."""

from __future__ import annotations

from typing import Any

from .errors import DamagedError, MissingError, StoreError
from .files import read_sealed, write_sealed
from .layout import Layout
from .schema import FORMAT_VERSION, Pack, Utterance


def read_description(layout: Layout) -> dict[str, Any]:
    """What a store says of itself. Raises StoreError when it is no store, or of another version."""
    try:
        description = read_sealed(layout.description)
    except MissingError as error:
        raise StoreError(f"{layout.root} is no unit store: it has no {layout.description.name}") from error
    if description.get("version") != FORMAT_VERSION:
        raise StoreError(
            f"{layout.root} is a store of version {description.get('version')}, this svc reads version {FORMAT_VERSION}"
        )
    return description


def read_utterances(layout: Layout) -> list[Utterance]:
    """The corpus as it is now."""
    try:
        columns = read_sealed(layout.utterances)
    except MissingError as error:
        raise StoreError(f"{layout.root} holds no utterances yet; run `svc extract` again to fill it") from error
    try:
        rows = zip(*(columns[name] for name in Utterance.__dataclass_fields__), strict=True)
        return [Utterance(*row) for row in rows]
    except (KeyError, ValueError) as error:
        raise DamagedError(f"{layout.utterances} is no utterance table that this version understands") from error


def check_packs(layout: Layout, packs: list[Pack], utterances: list[Utterance]) -> None:
    """Raises DamagedError when an utterance lies in a pack, or a row of it, that is not there."""
    for u in utterances:
        if u.pack >= len(packs):
            raise DamagedError(f"{layout.pack(u.pack)} is gone, and with it {u.id}")
        if u.row >= len(packs[u.pack].rows):
            raise DamagedError(f"{layout.pack(u.pack)} has no row {u.row} for {u.id}")


def write_utterances(layout: Layout, utterances: list[Utterance]) -> None:
    """Say what the corpus is now. Columnar, and nothing that varies between runs: one corpus, the same bytes."""
    names = list(Utterance.__dataclass_fields__)
    write_sealed(layout.utterances, {name: [getattr(u, name) for u in utterances] for name in names})
