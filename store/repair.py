"""Finding damaged records of a ledger, and repairing them from the whole ones.

The records of a store are redundant. The utterance table has the place of each row of a pack in its recording, and the
pack's digest; packs give the rows of a lost table; a column's description follows from the settings. A lost record is
made again from the others, or left to `svc extract`; no cell has to be computed again.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from .columns import read_column
from .errors import DamagedError, StoreError
from .folder import Folder
from .layout import Layout
from .ledger import read_description, read_table, write_corpus
from .packs import NewRow, fill, read_pack, write_packs
from .schema import Pack, PackSize, Utterance

PACK = re.compile(r"/(\d{6,9})\.json$")
MAX_PACKS = 10_000_000  # numbers beyond are not ours


@dataclass(frozen=True)
class Damage:
    """A damaged record. `pack` is -1 and `column` empty if the record is of neither."""

    name: str
    reason: str
    column: str = ""
    pack: int = -1
    utterances: tuple[str, ...] = ()


def find_damage(layout: Layout) -> list[Damage]:
    """All records without which a store cannot be opened and that are damaged or missing.

    Reads no receipts and no shards.

    Raises:
        StoreError: it is no store, of another version, or its description is damaged.
    """
    read_description(layout)
    found = []
    for name in _names(layout, layout.columns):
        try:
            read_column(layout, name)
        except DamagedError as error:
            column = name.removeprefix(f"{layout.columns}/").removesuffix(".json")
            found.append(Damage(name, str(error), column=column))
    try:
        digests, utterances = read_table(layout)
    except DamagedError as error:
        return [*found, Damage(layout.utterances, str(error))]
    ids = _by_pack(utterances)
    for number, expected in enumerate(digests):
        try:
            read_pack(layout, number, expected)
        except DamagedError as error:
            names = tuple(utterance.id for utterance in ids[number])
            found.append(Damage(layout.pack(number), str(error), pack=number, utterances=names))
    return found


def repair(
    location: str | Path | Folder, unit_frames: Callable[[int], int], waiting: Callable[[], None] = lambda: None
) -> list[Damage]:
    """Repair a ledger, so that the store can be opened, and return the damaged records.

    A pack comes from the utterance table, a lost table from the packs: then it names no utterances until the corpus is
    extracted again. A damaged description of a column is removed, and `svc extract` writes it again.

    Args:
        unit_frames: how many unit frames an utterance of so many mel frames has.

    Raises:
        StoreError: it is no store, or the whole records do not suffice.
    """
    layout = Layout(location)
    size = PackSize(**read_description(layout)["size"])
    with layout.folder.lock(layout.lock, waiting):
        damages = find_damage(layout)
        layout.folder.remove(damage.name for damage in damages if damage.column)
        if any(damage.name == layout.utterances for damage in damages):
            write_corpus(layout, _surviving_packs(layout), [])
        elif lost := [damage.pack for damage in damages if damage.pack >= 0]:
            digests, utterances = read_table(layout)
            ids = _by_pack(utterances)
            write_packs(layout, [_rebuilt(layout, size, n, digests[n], ids[n], unit_frames) for n in lost])
    return damages


def _surviving_packs(layout: Layout) -> list[Pack]:
    """All packs by number; numbers without a file are retired packs."""
    files = {name: int(found[1]) for name in _names(layout, layout.packs) if (found := PACK.search(name))}
    if len(set(files.values())) < len(files) or max(files.values(), default=0) > MAX_PACKS:
        raise _beyond_mending(layout, layout.utterances)
    packs = [Pack(number, ()) for number in range(max(files.values(), default=-1) + 1)]
    for name, number in files.items():
        try:
            packs[number] = read_pack(layout, number, None)
        except DamagedError as error:
            raise _beyond_mending(layout, f"{layout.utterances} and {name}") from error
    return packs


def _rebuilt(
    layout: Layout,
    size: PackSize,
    number: int,
    digest: str | None,
    utterances: Iterable[Utterance],
    unit_frames: Callable[[int], int],
) -> Pack:
    """A pack, made from its utterances, if it then has the recorded digest."""
    spans: list[NewRow] = []
    for u in sorted(utterances, key=lambda u: u.row):
        joined = bool(spans) and (spans[-1].audio, spans[-1].end) == (u.audio, u.start)
        spans.append(NewRow(u.audio, u.start, u.end, joined, unit_frames(u.end - u.start), u.end - u.start))
    # It may begin with the rest of a recording from the pack before.
    going_on = [replace(span, joined=span.joined or span is spans[0]) for span in spans]
    for candidate in (spans, going_on):
        packs = fill(candidate, size, number)
        if len(packs) == 1 and packs[0].digest == digest:
            return packs[0]
    raise _beyond_mending(layout, layout.pack(number))


def _beyond_mending(layout: Layout, what: str) -> StoreError:
    return StoreError(
        f"{what} of {layout.root} cannot be made again from what is left; extract the corpus into another --store"
    )


def _names(layout: Layout, folder: str) -> list[str]:
    return [name for name in layout.folder.files(folder) if name.endswith(".json") and "/." not in name]


def _by_pack(utterances: Iterable[Utterance]) -> dict[int, list[Utterance]]:
    found: dict[int, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        found[utterance.pack].append(utterance)
    return found
