"""A small store built by hand, and what must be read from it."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from svc.store import Store, open_store
from svc.store.layout import Layout
from svc.store.packs import Piece
from svc.store.schema import MEL, UNIT, Column, Pack, PackSize, Row, Utterance
from svc.store.writer import Writer, open_writer

SIZE = PackSize(unit=1024, mel=1920)
IDENTITY: dict[str, Any] = {"mel_frame_rate": 44100 / 512, "slicing": {"longest": 20.0}}
COLUMNS = (
    Column("hidden/7", UNIT, "float16", 24, "1", {"encoder": {"sha256": "ab" * 32}, "layer": 7}),
    Column("hidden/12", UNIT, "float16", 24, "1", {"encoder": {"sha256": "ab" * 32}, "layer": 12}),
    Column("mel", MEL, "float16", 128, "1", {"bins": 128}),
    Column("f0", MEL, "float32", 0, "Hz", {"floor": 65.0, "method": "harvest"}),
    Column("loudness", MEL, "float32", 0, "dB", {"window": 2048}),
    Column("mel2ph", MEL, "int32", 0, "1", {"rule": "nearest"}),
)
GONE = "alto/gone"  # has a place in a pack, but is no longer in the corpus


def _corpus() -> dict[str, Piece]:
    """Utterances by id: a one-frame one, lengths around an inner chunk, two of one recording, ids that end alike."""
    ids = ["alto/solo", "bass/live/encore", "live/encore", "alto/x-solo", "bass/long", "bass/on", GONE]
    ids += [f"{speaker}/take{number:02d}" for number in range(7) for speaker in ("bass", "alto")]
    lengths = [1, 128, 129, 256, 300, 170, 190] + [150 + 13 * number for number in range(14)]
    found = {}
    for number, (name, mel) in enumerate(zip(ids, lengths, strict=True)):
        start, audio = (300, 4) if name == "bass/on" else (0, number)
        found[name] = Piece(f"{audio:064x}", start, start + mel, start > 0, max(1, round(mel * 0.58)), mel)
    return found


CORPUS = _corpus()


def truth(column: Column, row: Row) -> NDArray[Any]:
    """What a column holds of an utterance: a pure function of both, wherever it lies in the store. Seldom 0."""
    seed = [zlib.crc32(column.name.encode()), int(row.audio, 16), row.start]
    rng = np.random.default_rng(seed)
    shape = (row.place(column.axis)[1], *column.frame_shape)
    if column.name == "mel2ph":
        return np.minimum(1 + np.arange(shape[0]) * 25600 // 44100, row.unit_frames).astype(np.int32)
    if column.name == "f0":
        hz = rng.uniform(80, 400, shape)
        return np.where(np.arange(shape[0]) % 7 == 3, 0, hz).astype(np.float32)  # 0: unvoiced
    return rng.normal(-4, 2, shape).astype(column.dtype)


def extract(
    root: Path,
    corpus: Mapping[str, Piece] = CORPUS,
    columns: Sequence[Column] = COLUMNS,
    refused: Mapping[str, str] | None = None,
    removed: Iterable[str] = (),
    waiting: Callable[[], None] = lambda: None,
) -> None:
    """What `svc extract` does to a store: gives the new a place and computes the missing cells.

    `refused` says, by id, why an utterance has no values; what is `removed` keeps its place in its pack only.
    """
    with open_writer(root, SIZE, IDENTITY, waiting) as writer:
        known = {(row.audio, row.start) for pack in writer.packs for row in pack.rows}
        writer.add(piece for piece in corpus.values() if (piece.audio, piece.start) not in known)
        utterances = {utterance.id: utterance for utterance in writer.utterances}
        for pack in writer.packs:
            for number, row in enumerate(pack.rows):
                for name, piece in corpus.items():
                    if (row.audio, row.start) == (piece.audio, piece.start):
                        source = f"{name.split('/', 1)[1]}.wav"
                        utterances[name] = Utterance(
                            name,
                            name.split("/")[0],
                            "/songs",
                            source,
                            row.audio,
                            row.start,
                            row.end,
                            pack.number,
                            number,
                        )
        gone = set(removed)
        writer.set_utterances([utterances[name] for name in sorted(utterances) if name not in gone])
        writer.set_columns(columns)
        names = {(u.pack, u.row): u.id for u in utterances.values()}
        for column in columns:
            for number in writer.missing(column):
                rows = {
                    row: reason for row in range(len(writer.packs[number].rows))
                    if (reason := (refused or {}).get(names.get((number, row), ""))) is not None
                }  # fmt: skip
                put(writer, column, writer.packs[number], rows)


def put(writer: Writer, column: Column, pack: Pack, refused: Mapping[int, str]) -> None:
    """One cell, as it should be."""
    values = {number: truth(column, row) for number, row in enumerate(pack.rows) if number not in refused}
    writer.put(column, pack, values, refused, {"svc": "test"})


@dataclass(frozen=True)
class Sample:
    """A store on disk, and what is known of it without reading it."""

    root: Path
    columns: tuple[Column, ...] = COLUMNS
    size: PackSize = SIZE

    def open(self) -> Store:
        return open_store(self.root)

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    def cells(self) -> list[tuple[Column, int]]:
        return [(column, pack) for column in self.columns for pack in range(3)]

    def truth(self, column: Column, row: Row) -> NDArray[Any]:
        return truth(column, row)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A complete store of three packs, the last one not full. Only for reading."""
    root = tmp_path_factory.mktemp("sample") / "a.zarr"
    extract(root, removed=[GONE])
    return Sample(root)


@pytest.fixture
def copy(sample: Sample, tmp_path: Path) -> Sample:
    """The same, to be changed."""
    shutil.copytree(sample.root, tmp_path / "copy.zarr")
    return Sample(tmp_path / "copy.zarr")


@pytest.fixture(scope="session", name="extract")
def extract_fixture() -> Callable[..., None]:
    """`extract` above."""
    return extract


@pytest.fixture(scope="session")
def cell() -> Callable[..., None]:
    """`put` above."""
    return put


@pytest.fixture(scope="session")
def pieces() -> dict[str, Piece]:
    """The utterances of the sample, and the one that is gone."""
    return CORPUS


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Every file of a folder and what it holds, except for the lock, which holds nothing that counts."""

    def read(root: Path) -> dict[str, bytes]:
        found = {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if name != "ledger/lock"}

    return read


@pytest.fixture(scope="session")
def flip() -> Callable[..., None]:
    """Flips one bit of a file, at random unless told where."""

    def change(path: Path, rng: np.random.Generator, at: int | None = None) -> None:
        data = bytearray(path.read_bytes())
        data[int(rng.integers(len(data))) if at is None else at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))

    return change
