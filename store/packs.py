"""The packs and the utterances in them. Packs are only added, and count once the utterance table lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..common.canonical_json import digest as checksum
from .checksummed_json import check_checksum, write_checksummed
from .errors import DamagedError, StoreError
from .layout import Layout
from .schema import Pack, PackSize, Row


@dataclass(frozen=True)
class NewRow:
    """An utterance without a place yet: mel frames [start, end) of a recording, and its length on both axes."""

    audio: str
    start: int
    end: int
    joined: bool
    unit_frames: int
    mel_frames: int


def fill(spans: Iterable[NewRow], size: PackSize, first_number: int) -> list[Pack]:
    """Lay spans into new packs in the order given, each pack until the next span no longer fits."""
    packs: list[Pack] = []
    rows: list[Row] = []
    unit = mel = 0
    for span in spans:
        if span.unit_frames > size.unit or span.mel_frames > size.mel:
            raise StoreError(
                f"an utterance of {span.mel_frames} mel and {span.unit_frames} unit frames is longer than a pack "
                f"({size.mel} and {size.unit})"
            )
        if unit + span.unit_frames > size.unit or mel + span.mel_frames > size.mel:
            packs.append(Pack(first_number + len(packs), tuple(rows)))
            rows, unit, mel = [], 0, 0
        rows.append(
            Row(
                span.audio,
                span.start,
                span.end,
                span.joined,
                unit_offset=unit,
                unit_frames=span.unit_frames,
                mel_offset=mel,
                mel_frames=span.mel_frames,
            )
        )
        unit += span.unit_frames
        mel += span.mel_frames
    if rows:
        packs.append(Pack(first_number + len(packs), tuple(rows)))
    return packs


def write_packs(layout: Layout, packs: Iterable[Pack]) -> None:
    """Write the description of each pack, with a checksum."""
    for pack in packs:
        write_checksummed(layout.folder, layout.pack(pack.number), pack.to_json())


def read_packs(layout: Layout, digests: Sequence[str | None]) -> list[Pack]:
    """The packs that the corpus was committed with, in order. Other files are of a run that was stopped.

    A pack without a digest was retired by `compact`: its number and its place in the arrays stay, its rows are gone.

    Raises:
        DamagedError: one is missing, or differs from what was committed.
    """
    data = layout.folder.read_all(layout.pack(number) for number, digest in enumerate(digests) if digest is not None)
    return [
        Pack(number, ()) if digest is None else _pack(layout, number, data.get(layout.pack(number)), digest)
        for number, digest in enumerate(digests)
    ]


def read_pack(layout: Layout, number: int, digest: str | None) -> Pack:
    """One pack, of that digest if one is given. Raises DamagedError if it is missing, or differs."""
    return _pack(layout, number, layout.folder.read_all([layout.pack(number)]).get(layout.pack(number)), digest)


def _pack(layout: Layout, number: int, data: bytes | None, digest: str | None) -> Pack:
    where = layout.folder.where(layout.pack(number))
    if data is None:
        raise DamagedError(f"{where} is gone")
    value = check_checksum(data, where)
    try:
        pack = Pack.from_json(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{where} is no pack that this version understands") from error
    if value.keys() == {"number", "rows"}:
        pack.__dict__["digest"] = checksum(value)  # parsing its records again would give the same, more slowly
    if pack.number != number or pack.digest != (digest or pack.digest):
        raise DamagedError(f"{where} is not the pack that the corpus was written with")
    return pack


class StoredPack(Pack):
    """A pack of a large store: its rows are read from its file at first use, and kept for a few packs."""

    def __init__(self, number: int, digest: str, load: Callable[[int, str], tuple[Row, ...]]):
        object.__setattr__(self, "number", number)
        object.__setattr__(self, "_load", load)
        self.__dict__["digest"] = digest

    @property
    def rows(self) -> tuple[Row, ...]:
        """Raises DamagedError if its file is missing, or differs."""
        found: tuple[Row, ...] = self.__dict__["_load"](self.number, self.digest)
        return found

    @property
    def retired(self) -> bool:
        """False: a pack that compaction retired is a `Pack` without rows, not one of these."""
        return False

    def __reduce__(self) -> tuple[type[Pack], tuple[int, tuple[Row, ...]]]:
        return Pack, (self.number, self.rows)


def stored_packs(layout: Layout, digests: list[str | None], size: PackSize) -> list[Pack]:
    """The packs that the corpus was committed with, in order, none of which is read yet."""

    @lru_cache(maxsize=4096)  # of some 160 rows each: 250 MB
    def load(number: int, digest: str) -> tuple[Row, ...]:
        pack = read_pack(layout, number, digest)
        if not pack.fits(size):
            raise DamagedError(f"{layout.folder.where(layout.pack(number))} holds more than a pack has room for")
        return pack.rows

    return [
        Pack(number, ()) if digest is None else StoredPack(number, digest, load)
        for number, digest in enumerate(digests)
    ]
