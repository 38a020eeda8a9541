"""Opening a store and reading it. It needs no torch, and raises for data that is missing or damaged.

store = open_store("voices.zarr")
store.utterances                  # a table
clip = store["LJ001-0001"]
clip.hidden(12), clip.f0, clip.mel
store.array("hidden/12")          # one lazy dask array over the corpus
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..common.column_names import hidden_column, mel_column, parse_hidden
from ..common.text import count
from .columns import read_columns
from .errors import DamagedError, MissingError
from .folder import Folder
from .layout import Layout
from .ledger import read_corpus, read_description
from .receipts import Receipt, read_receipt, read_receipts
from .schema import MEL, UNIT, Column, PackSize, Row, Utterance
from .shards import Shard
from .table import UtteranceTable, rows_of_pack, total_frames, used_packs


def _most_open_shards() -> int:
    """How many shards are kept open: two thirds of the maps that Linux allows a process (65,530 by default)."""
    try:
        return int(Path("/proc/sys/vm/max_map_count").read_text()) * 2 // 3
    except (OSError, ValueError):
        return 16_384


OPEN_SHARDS = _most_open_shards()

if TYPE_CHECKING:
    import dask.array
    import pandas


def open_store(location: str | Path | Folder) -> Store:
    """Open a store for reading, from a folder or a URL such as `s3://bucket/voices.zarr`.

    Raises:
        StoreError: there is none, or it is of another version.
        DamagedError: its description or table was changed.
    """
    try:
        return Store(location)
    except DamagedError:
        # A compaction that ended meanwhile removes packs of the table that was read before: read again.
        return Store(location)


class Store:
    """A unit store, open for reading. Iterating gives the corpus's clips in order."""

    def __init__(self, location: str | Path | Folder):
        self.layout = Layout(location)
        self.description = read_description(self.layout)
        self.size = PackSize(**self.description["size"])
        if "mel_frame_rate" not in self.description["identity"]:
            raise DamagedError(f"{self.layout.folder.where(self.layout.description)} does not say its mel_frame_rate")
        self.columns: dict[str, Column] = read_columns(self.layout)
        self.packs, self.table = read_corpus(self.layout, self.size)
        self._shards: dict[tuple[str, int], tuple[Receipt, Shard]] = {}
        self._present: dict[str, dict[int, Receipt | MissingError | DamagedError]] = {}

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Clip]:
        return (Clip(self, utterance, place) for place, utterance in enumerate(self.table))

    def __getitem__(self, key: str | int) -> Clip:
        """A clip by number, by id (`SPEAKER/name`), or by the end of an id if only one ends so."""
        if isinstance(key, int):
            return Clip(self, self.table[key], key % max(1, len(self)))
        key = unicodedata.normalize("NFC", key)  # as ids are
        found = self._places(key)
        if len(found) == 1:
            return Clip(self, self.table[found[0]], found[0])
        if found:
            names = ", ".join(self.table[place].id for place in found[:4])
            raise MissingError(f"{key!r} names {len(found)} utterances: {names}")
        near = ", ".join(u.id for u in self.table[:3])
        raise MissingError(f"no utterance {key!r} in {self.layout.root}: it has {len(self.table)}, such as {near}")

    def __getstate__(self) -> dict[str, Any]:
        # Memory maps are not sent to another process: it opens its own.
        return {**self.__dict__, "_shards": {}, "_present": {}}

    @property
    def location(self) -> str:
        """The argument by which `open_store` finds it in any process: an absolute path, or a URL."""
        return self.layout.folder.location

    @property
    def settled(self) -> bool:
        """Whether a writer has described all of its columns."""
        return self.layout.folder.size(self.layout.arrays) is not None

    def _places(self, key: str) -> list[int]:
        """The places in the table of the utterance of that id, or else of those whose id ends with `/key`."""
        if isinstance(self.table, UtteranceTable):
            place = self.table.find(key)
            return self.table.find_endings("/" + key) if place is None else [place]
        if key in self._by_id:
            return [self._by_id[key]]
        return [place for place, u in enumerate(self.table) if u.id.endswith("/" + key)]

    @cached_property
    def _by_id(self) -> dict[str, int]:
        return {utterance.id: place for place, utterance in enumerate(self.table)}

    @property
    def speakers(self) -> list[str]:
        """Names of all speakers, sorted."""
        if isinstance(self.table, UtteranceTable):
            return list(self.table.speakers)
        return sorted({u.speaker for u in self.table})

    @property
    def seconds(self) -> float:
        """How long its utterances are in all."""
        return total_frames(self.table) / float(self.description["identity"]["mel_frame_rate"])

    def incomplete(self) -> int:
        """How many utterances have no values in some column."""
        packs: set[int] = set()
        rows: set[tuple[int, int]] = set()
        for name in self.columns:
            for number, receipt in self._receipts(name).items():
                if not isinstance(receipt, Receipt):
                    packs.add(number)
                else:
                    rows |= {(number, int(row)) for row in receipt.refused}
        used = [(pack, rows_of_pack(self.table, pack)) for pack in sorted(packs | {pack for pack, _ in rows})]
        return sum(len(ids) if pack in packs else sum((pack, row) in rows for row in ids) for pack, ids in used)

    @cached_property
    def utterances(self) -> pandas.DataFrame:
        """One line an utterance: id, speaker, seconds, frames on both axes, source, and which columns it has."""
        import pandas

        rows = [clip.summary() for clip in self]
        names = [
            "id",
            "speaker",
            "seconds",
            "unit_frames",
            "mel_frames",
            "source",
            "start",
            "end",
            "complete",
        ]
        return pandas.DataFrame(rows, columns=names).set_index("id", drop=False)

    def array(self, name: str) -> dask.array.Array:
        """A column over the whole corpus as a lazy array (frames, width) or (frames,), in the order of `utterances`.

        Raises:
            MissingError: there is no such column; when computed, also for a cell that is not there.
        """
        import uuid

        import dask.array

        column = self.column(name)
        if not len(self.table):
            return dask.array.zeros((0, *column.frame_shape), dtype=column.numpy_dtype)
        lengths = tuple(clip.frames(column.axis) for clip in self)
        # The graph by hand, with the store in it once: dask's own way takes ten times as long for a large corpus.
        # The name is random, since a name from the content would require hashing the store.
        whole, store = f"{name}-{uuid.uuid4().hex}", f"store-{uuid.uuid4().hex}"
        rest = (0,) * len(column.frame_shape)
        graph: dict[Any, Any] = {
            (whole, number, *rest): (Store.read, store, name, utterance.row, utterance.pack)
            for number, utterance in enumerate(self.table)
        }
        graph[store] = self
        chunks = (lengths, *((width,) for width in column.frame_shape))
        return dask.array.Array(graph, whole, chunks, dtype=column.numpy_dtype)

    def column(self, name: str) -> Column:
        """A column's description. Raises MissingError if there is no such column."""
        if name not in self.columns:
            raise MissingError(f"no column {name!r} in {self.layout.root}: it has {', '.join(sorted(self.columns))}")
        return self.columns[name]

    def receipt(self, name: str, pack: int) -> Receipt:
        """The receipt of a cell. Raises MissingError or DamagedError if it is missing or damaged."""
        return read_receipt(self.layout, self.column(name), self.packs[pack])

    def read(
        self, name: str, row: int, pack: int, start: int = 0, stop: int | None = None, place: Row | None = None
    ) -> NDArray[Any]:
        """Frames [start, stop) of one row of a pack in a column, copied from its shard: (frames, width) or (frames,).

        `place` is the row itself, if the caller has it: then the pack is not read.
        """
        receipt, shard = self._shards.get((name, pack)) or self._open(name, pack)
        if receipt.refused and (reason := receipt.refused.get(str(row))) is not None:
            raise MissingError(f"{name} of row {row} in pack {pack} could not be computed: {reason}")
        place = place or self._row(pack, row)
        offset, length = place.place(self.columns[name].axis)
        stop = length if stop is None else stop
        if not 0 <= start <= stop <= length:
            raise IndexError(f"frames {start} to {stop} of an utterance of {length}")
        return shard.read(offset + start, offset + stop)

    def _row(self, pack: int, row: int) -> Row:
        rows = self.packs[pack].rows
        if row >= len(rows):
            raise DamagedError(f"{self.layout.folder.where(self.layout.pack(pack))} has no row {row}, which is named")
        return rows[row]

    def has(self, name: str, row: int, pack: int) -> bool:
        """Whether a row has values in a column.

        The first call for a column reads all of its receipts; later calls return the state of that moment.
        """
        receipt = self._receipts(name).get(pack)
        return isinstance(receipt, Receipt) and str(row) not in receipt.refused

    def _receipts(self, name: str) -> dict[int, Receipt | MissingError | DamagedError]:
        """The receipts of a column's cells by pack, or their errors; read once."""
        if name not in self._present:
            packs = [self.packs[number] for number in used_packs(self.table)]
            self._present[name] = read_receipts(self.layout, self.column(name), packs)
        return self._present[name]

    def _open(self, name: str, pack: int) -> tuple[Receipt, Shard]:
        """Open a cell and check it against its receipt; later reads do not read its records again."""
        column = self.column(name)
        shard_name = self.layout.shard(column, pack)
        folder = self.layout.folder
        try:
            receipt = read_receipt(self.layout, column, self.packs[pack])
            shard = Shard(
                folder.view(shard_name),
                folder.where(shard_name),
                column.numpy_dtype,
                column.frame_shape,
                self.size.of(column.axis),
            )
            # Writers remove a receipt before they change its shard: if it is still there, the two belong together.
            if read_receipt(self.layout, column, self.packs[pack]) != receipt:
                raise MissingError(f"{folder.where(shard_name)} was written anew meanwhile")
        except MissingError as error:
            raise MissingError(
                f"column {name} of pack {pack} is not in {self.layout.root}; run `svc extract` again if it was "
                f"never finished, or open the store again if it has been changed since"
            ) from error
        if len(self._shards) >= OPEN_SHARDS:
            # Another thread may have removed it already.
            self._shards.pop(next(iter(self._shards)), None)
        self._shards[name, pack] = receipt, shard
        return receipt, shard

    def __repr__(self) -> str:
        return (
            f"Store {self.layout.root}: {count(len(self), 'utterance')} of {count(len(self.speakers), 'speaker')}, "
            f"{self.seconds / 60:.1f} minutes; columns {', '.join(sorted(self.columns))}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.utterances.drop(columns='id').to_html(max_rows=12)}"


class Clip:
    """One utterance of a store. Its features are read at access."""

    def __init__(self, store: Store, utterance: Utterance, place: int | None = None):
        """`place` is the utterance's place in the store's table."""
        self.store = store
        self.utterance = utterance
        self._place = place

    @cached_property
    def row(self) -> Row:
        """Its place in its pack, and in its recording."""
        if isinstance(self.store.table, UtteranceTable) and self._place is not None:
            return self.store.table.place(self._place)
        return self.store.packs[self.utterance.pack].rows[self.utterance.row]

    def frames(self, axis: str) -> int:
        """Its length on an axis."""
        return self.row.place(axis)[1]

    @property
    def id(self) -> str:
        """The utterance's name."""
        return self.utterance.id

    @property
    def speaker(self) -> str:
        """Who speaks or sings."""
        return self.utterance.speaker

    @property
    def seconds(self) -> float:
        """Its length in seconds, a whole number of mel frames."""
        return (self.utterance.end - self.utterance.start) / float(self.store.description["identity"]["mel_frame_rate"])

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Frames [start, stop) of a column, on the column's own axis: (frames, width) or (frames,)."""
        return self.store.read(name, self.utterance.row, self.utterance.pack, start, stop, self.row)

    def hidden(self, layer: int) -> NDArray[np.float16]:
        """Hidden states of a layer: float16 (unit_frames, width)."""
        return self.read(hidden_column(layer))

    @property
    def f0(self) -> NDArray[np.float32]:
        """Hz at mel centres, 0 where unvoiced: float32 (mel_frames,)."""
        return self.read("f0")

    @property
    def mel(self) -> NDArray[np.float16]:
        """ln magnitude: float16 (mel_frames, 128)."""
        return self.read(mel_column())

    @property
    def mel2ph(self) -> NDArray[np.int32]:
        """1-based unit frame at each mel frame: int32 (mel_frames,)."""
        return self.read("mel2ph")

    @property
    def loudness(self) -> NDArray[np.float32]:
        """dBFS at mel centres: float32 (mel_frames,)."""
        return self.read("loudness")

    def missing(self) -> list[str]:
        """The columns that have no values for this utterance."""
        return [n for n in self.store.columns if not self.store.has(n, self.utterance.row, self.utterance.pack)]

    def summary(self) -> dict[str, Any]:
        """Its entry in the utterance table."""
        rate = float(self.store.description["identity"]["mel_frame_rate"])
        return {
            "id": self.id,
            "speaker": self.speaker,
            "seconds": round(self.seconds, 3),
            "unit_frames": self.row.place(UNIT)[1],
            "mel_frames": self.row.place(MEL)[1],
            "source": self.utterance.source,
            "start": round(self.utterance.start / rate, 3),
            "end": round(self.utterance.end / rate, 3),
            "complete": not self.missing(),
        }

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the mel with f0 over it and the deepest units under it; save to `path` if given. Returns the figure."""
        from .plot import plot_features

        layers = [found[0] for name in self.store.columns if (found := parse_hidden(name)) and not found[1]]
        hidden = (hidden_column(max(layers)), self.hidden(max(layers))) if layers else None
        title = f"{self.id} ({self.seconds:.2f} s)"
        return plot_features(title, self.seconds, self.mel, self.f0, self.loudness, hidden, path)

    def __repr__(self) -> str:
        return f"Clip {self.id}: {self.seconds:.2f} s of {self.speaker}"
