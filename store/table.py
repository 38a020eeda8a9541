"""The utterance table of a large corpus: columns of numbers and text in one file, decoded on access.

File layout (all numbers little-endian):

    8 bytes    "svctable"
    8 bytes    uint64, length of the header
    header     canonical JSON: {"rows": n, "columns": [[name, dtype, count], ...], "speakers": [...], "corpora": [...]}
    columns    one after another, each begun at a multiple of 8

`id` and `source` are UTF-8, each as two columns: `NAME.ends` (uint64, where each text ends) and `NAME.text` (bytes).
`speaker` and `corpus` are numbers of the header's lists. `audio` has 32 bytes a row.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ..common.canonical_json import canonical
from .errors import DamagedError
from .schema import Pack, Row, Utterance

MAGIC = b"svctable"
NUMBERS = {
    "start": "<i8",
    "end": "<i8",
    "pack": "<i4",
    "row": "<i4",
    "unit_offset": "<i4",
    "unit_frames": "<i4",
    "mel_offset": "<i4",
    "joined": "|u1",
    "speaker": "<i4",
    "corpus": "<i4",
}
TEXTS = ("id", "source")


class UtteranceTable(Sequence[Utterance]):
    """Utterances, made on access.

    `column` returns a column of numbers. Also holds the packs' records of the utterances' rows, so that a reader need
    not open the packs.
    """

    def __init__(self, columns: dict[str, NDArray[Any]], speakers: list[str], corpora: list[str]):
        self._columns, self.speakers, self.corpora = columns, speakers, corpora
        self._length = len(columns["pack"])

    @classmethod
    def of(cls, utterances: Sequence[Utterance], packs: Sequence[Pack]) -> UtteranceTable:
        """From utterances, in order, and the packs that they lie in."""
        if isinstance(utterances, UtteranceTable):
            return utterances
        speakers, corpora = (sorted({getattr(u, name) for u in utterances}) for name in ("speaker", "corpus"))
        numbers = {
            name: {text: place for place, text in enumerate(texts)}
            for name, texts in (("speaker", speakers), ("corpus", corpora))
        }
        columns: dict[str, NDArray[Any]] = {}
        for name in ("start", "end", "pack", "row"):
            columns[name] = np.fromiter((getattr(u, name) for u in utterances), NUMBERS[name], len(utterances))
        for name in ("speaker", "corpus"):
            known = numbers[name]
            columns[name] = np.fromiter((known[getattr(u, name)] for u in utterances), NUMBERS[name], len(utterances))
        for name in ("unit_offset", "unit_frames", "mel_offset", "joined"):
            columns[name] = np.zeros(len(utterances), NUMBERS[name])
        by_pack = np.argsort(columns["pack"], kind="stable")
        for place in by_pack.tolist():
            row = packs[int(columns["pack"][place])].rows[int(columns["row"][place])]
            for name in ("unit_offset", "unit_frames", "mel_offset", "joined"):
                columns[name][place] = getattr(row, name)
        audio = b"".join(bytes.fromhex(u.audio) for u in utterances)
        columns["audio"] = np.frombuffer(audio, np.uint8).reshape(-1, 32)
        for name in TEXTS:
            texts = [getattr(u, name).encode() for u in utterances]
            columns[f"{name}.ends"] = np.cumsum([len(text) for text in texts], dtype="<u8")
            columns[f"{name}.text"] = np.frombuffer(b"".join(texts), np.uint8)
        return cls(columns, speakers, corpora)

    def to_bytes(self) -> bytes:
        """The file's content. The same table gives the same bytes."""
        names = sorted(self._columns)
        listed = [[name, self._columns[name].dtype.str, self._columns[name].size] for name in names]
        header = canonical({"rows": len(self), "columns": listed, "speakers": self.speakers, "corpora": self.corpora})
        parts = [MAGIC, len(header).to_bytes(8, "little"), header]
        size = sum(map(len, parts))
        for name in names:
            data = self._columns[name].tobytes()
            padding = bytes(-size % 8)
            parts += [padding, data]
            size += len(padding) + len(data)
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, where: str) -> UtteranceTable:
        """From the output of `to_bytes`; nothing is copied. Raises DamagedError for anything else."""
        try:
            if bytes(data[:8]) != MAGIC:
                raise ValueError("another file")
            length = int.from_bytes(data[8:16], "little")
            header = json.loads(bytes(data[16 : 16 + length]))
            rows, at = header["rows"], 16 + length
            columns: dict[str, NDArray[Any]] = {}
            for name, dtype, count in header["columns"]:
                at += -at % 8
                columns[name] = np.frombuffer(data, np.dtype(dtype), count, at)
                at += columns[name].nbytes
            columns["audio"] = columns["audio"].reshape(-1, 32)
            lengths = {len(columns[name]) for name in (*NUMBERS, "audio", *(f"{name}.ends" for name in TEXTS))}
            if lengths != {rows} or at != len(data) or any(columns[n].dtype.str != t for n, t in NUMBERS.items()):
                raise ValueError("columns of other lengths")
            table = cls(columns, [str(text) for text in header["speakers"]], [str(text) for text in header["corpora"]])
            table._check()
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise DamagedError(f"{where} is no utterance table that this version understands") from error
        return table

    def _check(self) -> None:
        """Raises ValueError for numbers out of range: a store may be malicious."""
        for name, count in (("speaker", len(self.speakers)), ("corpus", len(self.corpora))):
            if len(self) and not 0 <= self._columns[name].min() <= self._columns[name].max() < count:
                raise ValueError(name)
        if any(len(self) and self._columns[name].min() < 0 for name in NUMBERS):
            raise ValueError("a negative number")
        for name in TEXTS:
            ends = self._columns[f"{name}.ends"]
            if len(self) and (np.any(ends[1:] < ends[:-1]) or ends[-1] != len(self._columns[f"{name}.text"])):
                raise ValueError(name)

    def column(self, name: str) -> NDArray[Any]:
        """A column of numbers, (utterances,): start, end, pack, row, unit_frames, speaker (index in `speakers`), ..."""
        return self._columns[name]

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> Utterance: ...
    @overload
    def __getitem__(self, at: slice) -> list[Utterance]: ...
    def __getitem__(self, at: int | slice) -> Utterance | list[Utterance]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(f"utterance {at} of {len(self)}")
        at %= len(self)
        c = self._columns
        return Utterance(
            id=self._text("id", at),
            speaker=self.speakers[c["speaker"][at]],
            corpus=self.corpora[c["corpus"][at]],
            source=self._text("source", at),
            audio=c["audio"][at].tobytes().hex(),
            start=int(c["start"][at]),
            end=int(c["end"][at]),
            pack=int(c["pack"][at]),
            row=int(c["row"][at]),
        )

    def __iter__(self) -> Iterator[Utterance]:
        return (self[place] for place in range(len(self)))

    def place(self, at: int) -> Row:
        """The row of an utterance, as in its pack."""
        c = self._columns
        return Row(
            audio=c["audio"][at].tobytes().hex(),
            start=int(c["start"][at]),
            end=int(c["end"][at]),
            joined=bool(c["joined"][at]),
            unit_offset=int(c["unit_offset"][at]),
            unit_frames=int(c["unit_frames"][at]),
            mel_offset=int(c["mel_offset"][at]),
            mel_frames=int(c["end"][at] - c["start"][at]),
        )

    def find(self, name: str) -> int | None:
        """The place of the utterance of that id, or None. Utterances are sorted by speaker, then id."""
        key = (name.partition("/")[0], name)
        at = bisect_left(
            range(len(self)), key, key=lambda n: (self.speakers[self._columns["speaker"][n]], self._text("id", n))
        )
        return at if at < len(self) and self._text("id", at) == name else None

    def find_endings(self, ending: str) -> list[int]:
        """The places of the utterances whose id ends so."""
        texts, ends, sought = self._columns["id.text"].tobytes(), self._columns["id.ends"], ending.encode()
        found, at = [], texts.find(sought)
        while at >= 0:
            place = int(np.searchsorted(ends, at, side="right"))
            if int(ends[place]) == at + len(sought):
                found.append(place)
            at = texts.find(sought, at + 1)
        return found

    def recordings(self) -> Iterator[tuple[str, str, str]]:
        """(audio hash, corpus, source) of each recording."""
        packed = np.ascontiguousarray(self._columns["audio"]).view("V32").ravel()
        _, first = np.unique(packed, return_index=True)
        for at in first.tolist():
            corpus = self.corpora[self._columns["corpus"][at]]
            yield self._columns["audio"][at].tobytes().hex(), corpus, self._text("source", at)

    def _text(self, name: str, at: int) -> str:
        ends = self._columns[f"{name}.ends"]
        begin = int(ends[at - 1]) if at else 0
        return self._columns[f"{name}.text"][begin : int(ends[at])].tobytes().decode()


def used_packs(utterances: Sequence[Utterance]) -> list[int]:
    """The numbers of the packs that utterances lie in, sorted."""
    if isinstance(utterances, UtteranceTable):
        return [int(number) for number in np.unique(utterances.column("pack"))]
    return sorted({u.pack for u in utterances})


def total_frames(utterances: Sequence[Utterance]) -> int:
    """How many mel frames utterances have in all."""
    if isinstance(utterances, UtteranceTable):
        return int((utterances.column("end") - utterances.column("start")).sum())
    return sum(u.end - u.start for u in utterances)


def rows_of_pack(utterances: Sequence[Utterance], pack: int) -> dict[int, str]:
    """The ids of the utterances in a pack, by row."""
    if isinstance(utterances, UtteranceTable):
        places = np.flatnonzero(utterances.column("pack") == pack).tolist()
        return {int(utterances.column("row")[at]): utterances[at].id for at in places}
    return {u.row: u.id for u in utterances if u.pack == pack}
