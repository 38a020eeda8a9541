"""The parts of a store: axes, columns, rows and packs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from ..common.canonical_json import digest

FORMAT, FORMAT_VERSION = "svc unit store", 1
INNER_FRAMES = 128  # frames of an inner chunk, the unit of checksums and reads

LARGE_CORPUS_SECONDS = 4 * 3600

DTYPES = ("float16", "float32", "int32")
MAX_WIDTH = 65_536
MAX_PACK_FRAMES = 2**24

UNIT, MEL = "unit", "mel"  # the two axes along which features run


T = TypeVar("T")

_KINDS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: type(value) is str,
    "bool": lambda value: type(value) is bool,
    "int": lambda value: type(value) is int and value >= 0,
    "dict[str, Any]": lambda value: type(value) is dict,
    "dict[str, str]": lambda value: type(value) is dict and all(type(inside) is str for inside in value.values()),
}


def check_fields(record: T) -> T:
    """A record, if each field has the type of its annotation, and numbers count from 0.

    Raises TypeError: JSON of unknown origin may hold anything.
    """
    for name, field_ in record.__dataclass_fields__.items():  # type: ignore[attr-defined]  # T is a dataclass
        if not _KINDS[field_.type](getattr(record, name)):
            raise TypeError(f"{name} {getattr(record, name)!r} is not {field_.type}")
    return record


@dataclass(frozen=True)
class PackSize:
    """How many frames one pack has room for on each axis. Every cell of a store is one shard of this length."""

    unit: int
    mel: int

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PackSize:
        """From a store's record. Raises ValueError for sizes that no shard can have."""
        size = cls(**value)
        for frames in (size.unit, size.mel):
            if type(frames) is not int or not 0 < frames <= MAX_PACK_FRAMES or frames % INNER_FRAMES:
                raise ValueError(f"a pack of {frames!r} frames: whole {INNER_FRAMES}s up to {MAX_PACK_FRAMES} can be")
        return size

    @classmethod
    def for_seconds(cls, seconds: float) -> PackSize:
        """22-minute packs for corpora over 4 hours, 2.7-minute ones otherwise: small cells finish sooner."""
        units = 65_536 if seconds > LARGE_CORPUS_SECONDS else 8_192
        # Mel frames (44100 / 512 a second) for the duration of the unit frames (50 a second), in whole inner chunks.
        return cls(unit=units, mel=-(-units * 441 * 2 // 512 // INNER_FRAMES) * INNER_FRAMES)

    def of(self, axis: str) -> int:
        """Frames of this axis, unit or mel, that a pack holds."""
        return self.unit if axis == UNIT else self.mel


@dataclass(frozen=True)
class Column:
    """One feature: its name (`hidden/12`, `f0`), axis, dtype, width (0 for one number a frame), and settings.

    `settings` is everything that decides its values: another value makes another column. `unit` is the physical one.
    `origin` is where its encoder was found; it is for information only.
    """

    name: str
    axis: str
    dtype: str
    width: int
    unit: str
    settings: dict[str, Any] = field(hash=False)
    origin: str = ""

    def __post_init__(self) -> None:
        # A store may be malicious: another name could be a path outside of it.
        check_fields(self)
        if not re.fullmatch(r"[a-z0-9_]{1,64}(/[0-9]{1,4})?", self.name):
            raise ValueError(f"{self.name!r} is no name of a column")
        if self.axis not in (UNIT, MEL) or self.dtype not in DTYPES:
            raise ValueError(f"column {self.name}: axis {self.axis!r}, dtype {self.dtype!r} are not known")
        if not 0 <= self.width <= MAX_WIDTH:
            raise ValueError(f"column {self.name}: width {self.width!r} is not within 0 to {MAX_WIDTH}")

    @property
    def metadata(self) -> dict[str, Any]:
        """Everything that decides its values and their storage."""
        return {**self.settings, "axis": self.axis, "dtype": self.dtype, "width": self.width}

    @property
    def made_by(self) -> str:
        """Digest of the facts, as in receipts."""
        return digest([self.name, self.metadata])

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame: (width,), or () for one number a frame."""
        return (self.width,) if self.width else ()

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """Its dtype, little-endian as it is stored."""
        return np.dtype(self.dtype).newbyteorder("<")


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance's place in a pack.

    `audio` is the sha256 of its recording's file, of which it is mel frames [start, end). `joined` means that the
    utterance before ends where this one begins, in mid-sound. Offsets and lengths are frames within the pack.
    """

    audio: str
    start: int
    end: int
    joined: bool
    unit_offset: int
    unit_frames: int
    mel_offset: int
    mel_frames: int

    def place(self, axis: str) -> tuple[int, int]:
        """(offset, length) in frames on an axis."""
        return (self.unit_offset, self.unit_frames) if axis == UNIT else (self.mel_offset, self.mel_frames)


@dataclass(frozen=True)
class Pack:
    """Utterances whose features lie in the same shards. Never changed once written."""

    number: int
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """As a record for JSON."""
        return {"number": self.number, "rows": [asdict(row) for row in self.rows]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Pack:
        """From a store's record. Raises KeyError, TypeError or ValueError for what no pack can be."""
        pack = cls(value["number"], tuple(check_fields(Row(**row)) for row in value["rows"]))
        unit = mel = 0
        for row in pack.rows:
            if (row.unit_offset, row.mel_offset, row.end - row.start) != (unit, mel, row.mel_frames):
                raise ValueError(f"rows that do not lie end to end: {row}")
            unit, mel = unit + row.unit_frames, mel + row.mel_frames
        return pack

    def fits(self, size: PackSize) -> bool:
        """Whether its rows are within `size` on both axes."""
        return not self.rows or all(sum(self.rows[-1].place(axis)) <= size.of(axis) for axis in (UNIT, MEL))

    @property
    def retired(self) -> bool:
        """Whether compaction has removed its rows; its number and its place in the arrays stay."""
        return not self.rows

    @cached_property
    def digest(self) -> str:
        """The sha256 of its canonical JSON."""
        return digest(self.to_json())

    def __getstate__(self) -> dict[str, Any]:
        return {"number": self.number, "rows": self.rows}  # without the digest, which is computed again on access


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance of the corpus as it is now: its name, its speaker, its recording, its place in the store.

    `corpus` is the folder that was given, `source` the recording's path inside it.
    """

    id: str
    speaker: str
    corpus: str
    source: str
    audio: str
    start: int
    end: int
    pack: int
    row: int
