"""Which utterance lies in which pack. Packs are only ever added."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import DamagedError, StoreError
from .files import read_sealed, write_sealed
from .layout import Layout
from .schema import Pack, PackSize, Row


@dataclass(frozen=True)
class Piece:
    """An utterance that wants a place: mel frames [start, end) of a recording, and its length on both axes."""

    audio: str
    start: int
    end: int
    joined: bool
    unit_frames: int
    mel_frames: int


def fill(pieces: Iterable[Piece], size: PackSize, first_number: int) -> list[Pack]:
    """Lay pieces into new packs in the order given, each pack until the next piece no longer fits."""
    packs: list[Pack] = []
    rows: list[Row] = []
    unit = mel = 0
    for piece in pieces:
        if piece.unit_frames > size.unit or piece.mel_frames > size.mel:
            raise StoreError(
                f"an utterance of {piece.mel_frames} mel and {piece.unit_frames} unit frames is longer than a pack "
                f"({size.mel} and {size.unit})"
            )
        if unit + piece.unit_frames > size.unit or mel + piece.mel_frames > size.mel:
            packs.append(Pack(first_number + len(packs), tuple(rows)))
            rows, unit, mel = [], 0, 0
        rows.append(
            Row(
                piece.audio,
                piece.start,
                piece.end,
                piece.joined,
                unit_offset=unit,
                unit_frames=piece.unit_frames,
                mel_offset=mel,
                mel_frames=piece.mel_frames,
            )
        )
        unit += piece.unit_frames
        mel += piece.mel_frames
    if rows:
        packs.append(Pack(first_number + len(packs), tuple(rows)))
    return packs


def write_packs(layout: Layout, packs: Iterable[Pack]) -> None:
    for pack in packs:
        write_sealed(layout.pack(pack.number), pack.to_json())


def read_packs(layout: Layout) -> list[Pack]:
    """All packs, in order.

    Raises:
        DamagedError: one was changed, or one in the middle is gone.
    """
    packs = []
    for number, path in enumerate(sorted(layout.packs.glob("[0-9]*.json"))):
        if path != layout.pack(number):
            raise DamagedError(f"{layout.pack(number)} is gone, though later packs are there")
        try:
            pack = Pack.from_json(read_sealed(path))
        except (KeyError, TypeError) as error:
            raise DamagedError(f"{path} is no pack that this version understands") from error
        if pack.number != number:
            raise DamagedError(f"{path} calls itself pack {pack.number}")
        packs.append(pack)
    return packs
