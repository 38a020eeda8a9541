"""The plan of a store's new corpus: its utterances, their places, and the changes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ...common.errors import UserError
from ...store.packs import NewRow, fill
from ...store.schema import Pack, PackSize, Utterance
from ...store.table import UtteranceTable
from .corpus_scan import CorpusScan
from .recordings import long_name


@dataclass(frozen=True)
class Changes:
    """Recordings, by name, that differ from those of these corpora in the store."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [f"{len(names)} {what}" for what, names in vars(self).items() if names]
        return ", ".join(said) or "none changed"


@dataclass(frozen=True)
class Plan:
    """New spans in their packs, and the corpus as it will be."""

    rows: list[NewRow]
    packs: list[Pack]  # of the spans
    utterances: Sequence[Utterance]
    changes: Changes


def unknown(packs: Sequence[Pack], before: Sequence[Utterance], scan: CorpusScan) -> list[str]:
    """The recordings that no pack holds yet. `before` are the utterances of the store."""
    if isinstance(before, UtteranceTable):
        known = {digest for digest, _, _ in before.recordings()}
        if not scan.entries.keys() - known:
            return []  # without reading the packs
    held = {row.audio for pack in packs for row in pack.rows}
    return [digest for digest in scan.entries if digest not in held]


def plan(packs: Sequence[Pack], before: Sequence[Utterance], scan: CorpusScan, size: PackSize) -> Plan:
    """Plan the new content of a store from scanned corpora, in which every unknown recording is sliced.

    Corpora that were not given stay as they are. A recording that moved keeps its place.

    Raises:
        UserError: nothing is left, or two corpora have a recording of one name.
    """
    if isinstance(before, UtteranceTable) and _unchanged(before, scan):
        return Plan([], [], before, Changes())
    rows = [row for digest in unknown(packs, before, scan) for row in scan.rows[digest]]
    new = fill(rows, size, first_number=len(packs))
    places: dict[str, list[tuple[Pack, int]]] = defaultdict(list)
    for pack in [*packs, *new]:
        for number, row in enumerate(pack.rows):
            places[row.audio].append((pack, number))
    utterances = [u for u in before if u.corpus not in scan.roots and u.audio not in scan.entries]
    names = _names(scan, {digest: len(places[digest]) for digest in scan.entries})
    for digest, entry in scan.entries.items():
        found = entry.found
        for name, (pack, row_number) in zip(names[digest], places[digest], strict=True):
            row = pack.rows[row_number]
            utterances.append(
                Utterance(
                    id=name,
                    speaker=found.speaker,
                    corpus=str(found.root),
                    source=found.source,
                    audio=digest,
                    start=row.start,
                    end=row.end,
                    pack=pack.number,
                    row=row_number,
                )
            )
    if not utterances:
        raise UserError("none of the recordings can be used:\n" + "\n".join(map(str, scan.refused)))
    twice = [name for name, count in Counter(u.id for u in utterances).items() if count > 1]
    if twice:
        raise UserError(
            f"the store has a recording {twice[0]} of another corpus already; rename the speaker's folder, or give "
            f"another --store"
        )
    utterances.sort(key=lambda u: (u.speaker, u.id))
    return Plan(rows, new, utterances, _changes(before, scan))


def _unchanged(table: UtteranceTable, scan: CorpusScan) -> bool:
    """Whether the recordings of the given corpora are those of the table, each in its place."""
    given = 0
    for digest, corpus, source in table.recordings():
        entry = scan.entries.get(digest)
        if corpus in scan.roots:
            given += 1
            if entry is None or (str(entry.found.root), entry.found.source) != (corpus, source):
                return False
        elif entry is not None:
            return False
    return given == len(scan.entries)


def _names(scan: CorpusScan, counts: dict[str, int]) -> dict[str, list[str]]:
    """The names of each recording's utterances: the recording's name, numbered if there are several.

    A recording called `song#002` keeps its ending (`song#002.wav`) if `song` has a second utterance.
    """

    def numbered(name: str, count: int) -> list[str]:
        return [name] if count == 1 else [f"{name}#{number:03d}" for number in range(1, count + 1)]

    names = {digest: numbered(entry.found.name, counts[digest]) for digest, entry in scan.entries.items()}
    taken = Counter(name for each in names.values() for name in each)
    for digest, entry in scan.entries.items():
        if "#" in entry.found.name and any(taken[name] > 1 for name in names[digest]):
            names[digest] = numbered(long_name(entry.found), counts[digest])
    return names


def _changes(before: Sequence[Utterance], scan: CorpusScan) -> Changes:
    """Recordings are identified by content: one at the same path with other content has changed."""
    paths = {u.audio: (u.corpus, u.source) for u in before if u.corpus in scan.roots}
    contents = {place: audio for audio, place in paths.items()}
    now = {digest: (str(entry.found.root), entry.found.source) for digest, entry in scan.entries.items()}
    taken = set(now.values())
    new = [digest for digest in now if digest not in paths]
    return Changes(
        added=tuple(scan.entries[digest].found.name for digest in new if now[digest] not in contents),
        changed=tuple(scan.entries[digest].found.name for digest in new if now[digest] in contents),
        renamed=tuple(scan.entries[d].found.name for d in now if d in paths and now[d] != paths[d]),
        removed=tuple(place[1] for audio, place in paths.items() if audio not in now and place not in taken),
    )
