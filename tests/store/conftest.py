"""A small store built by hand, and its true values."""

from __future__ import annotations

import errno
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from svc.store import Store, open_store
from svc.store.cells import write_cell
from svc.store.folder import Folder, open_folder
from svc.store.layout import Layout
from svc.store.lock import Pace
from svc.store.packs import NewRow
from svc.store.remote import RemoteFolder
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


def _corpus() -> dict[str, NewRow]:
    """Utterances by id: a one-frame one, lengths around an inner chunk, two of one recording, ids that end alike."""
    ids = ["alto/solo", "bass/live/encore", "live/encore", "alto/x-solo", "bass/long", "bass/on", GONE]
    ids += [f"{speaker}/take{number:02d}" for number in range(7) for speaker in ("bass", "alto")]
    lengths = [1, 128, 129, 256, 300, 170, 190] + [150 + 13 * number for number in range(14)]
    found = {}
    for number, (name, mel) in enumerate(zip(ids, lengths, strict=True)):
        start, audio = (300, 4) if name == "bass/on" else (0, number)
        found[name] = NewRow(f"{audio:064x}", start, start + mel, start > 0, max(1, round(mel * 0.58)), mel)
    return found


CORPUS = _corpus()


def truth(column: Column, row: Row) -> NDArray[Any]:
    """A column's values for an utterance: a pure function of both, independent of its place in the store. Seldom 0."""
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
    root: Path | Folder,
    corpus: Mapping[str, NewRow] = CORPUS,
    columns: Sequence[Column] = COLUMNS,
    refused: Mapping[str, str] | None = None,
    removed: Iterable[str] = (),
    waiting: Callable[[], None] = lambda: None,
) -> None:
    """The steps of `svc extract`: give new utterances a place and compute the missing cells.

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
    folder, made_with = writer.layout.folder, {"svc": "test"}
    writer.accept(write_cell(folder, writer.size, column, pack, values, refused, made_with))


class File:
    """One file of a store that is not on disk, with as much of Path as the tests need."""

    def __init__(self, folder: Folder, path: str):
        self.folder, self.path = folder, path
        self.name = path.rpartition("/")[2]

    def __str__(self) -> str:
        return self.folder.where(self.path)

    def __truediv__(self, name: str) -> File:
        return File(self.folder, f"{self.path}/{name}".lstrip("/"))

    def with_name(self, name: str) -> File:
        return File(self.folder, self.path.removesuffix(self.name) + name)

    def read_bytes(self) -> bytes:
        return self.folder.read(self.path)

    def write_bytes(self, data: bytes) -> None:
        self.folder.write(self.path, data)

    def unlink(self) -> None:
        assert self.is_file()
        self.folder.remove([self.path])

    def rename(self, other: File) -> None:
        other.write_bytes(self.read_bytes())
        self.unlink()

    def is_file(self) -> bool:
        return self.folder.size(self.path) is not None

    def stat(self) -> SimpleNamespace:
        return SimpleNamespace(st_size=self.folder.size(self.path))

    def mkdir(self) -> None:
        (self / "inside").write_bytes(b"")

    def rmdir(self) -> None:
        (self / "inside").unlink()

    def iterdir(self) -> list[File]:
        return [File(self.folder, name) for name in self.folder.files(self.path)]

    def rglob(self, _: str) -> list[File]:
        return self.iterdir()


class Paths:
    """The files of a store as `Layout` names them."""

    def __init__(self, root: Path | RemoteFolder):
        self.layout = Layout(root)
        self.root: Any = root if isinstance(root, Path) else File(root, "")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.layout, name)
        return (lambda *which: self.root / found(*which)) if callable(found) else self.root / found


@dataclass(frozen=True)
class Sample:
    """A store, and its true values without reading it."""

    root: Path | RemoteFolder
    columns: tuple[Column, ...] = COLUMNS
    size: PackSize = SIZE

    def open(self) -> Store:
        return open_store(self.root)

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def at(self) -> Paths:
        return Paths(self.root)

    def cells(self) -> list[tuple[Column, int]]:
        return [(column, pack) for column in self.columns for pack in range(3)]

    def truth(self, column: Column, row: Row) -> NDArray[Any]:
        return truth(column, row)


QUICK = Pace(beat=0.05, stale=0.5, look=0.02, settle=0.0)


@pytest.fixture(scope="session", params=["local", "memory"])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A complete store of three packs, the last one not full. Only for reading."""
    memory = request.param == "memory"
    root = RemoteFolder("memory://sample/a.zarr", QUICK) if memory else tmp_path_factory.mktemp("sample") / "a.zarr"
    extract(root, removed=[GONE])
    return Sample(root)


@pytest.fixture
def copy(sample: Sample, tmp_path: Path) -> Iterator[Sample]:
    """The same, to be changed."""
    if isinstance(sample.root, Path):
        shutil.copytree(sample.root, tmp_path / "copy.zarr")
        yield Sample(tmp_path / "copy.zarr")
        return
    folder = RemoteFolder(f"memory:/{tmp_path}/copy.zarr", QUICK)
    for name, data in sample.root.read_all(sample.root.files("")).items():
        folder.write(name, data)
    yield Sample(folder)
    folder.remove(folder.files(""))


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    """Somewhere a store may be made, on each kind of place."""
    if request.param == "local":
        yield open_folder(tmp_path / "a.zarr")
        return
    base = request.getfixturevalue("bucket") if request.param == "s3" else "memory:/"
    folder = RemoteFolder(f"{base}{tmp_path}/a.zarr", QUICK)
    yield folder
    folder.remove(folder.files(""))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Callable[[], RemoteFolder]]:
    """Makes folders in memory, as many as asked for."""
    made: list[RemoteFolder] = []

    def make() -> RemoteFolder:
        made.append(RemoteFolder(f"memory:/{tmp_path}/{len(made)}.zarr", QUICK))
        return made[-1]

    yield make
    for folder in made:
        folder.remove(folder.files(""))


class Faulty(Folder):
    """A folder in which the write or removal number `call` and all later ones fail, as after a power cut."""

    def __init__(self, inner: Folder, call: int):
        self.inner, self.left = inner, call

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.EIO, "input/output error")

    def write(self, name: str, data: bytes) -> None:
        self._count()
        self.inner.write(name, data)

    def remove(self, names: Iterable[str]) -> None:
        for name in list(names):
            self._count()
            self.inner.remove([name])

    @property
    def location(self) -> str:
        return self.inner.location

    def where(self, name: str = "") -> str:
        return self.inner.where(name)

    def read(self, name: str) -> bytes:
        return self.inner.read(name)

    def size(self, name: str) -> int | None:
        return self.inner.size(name)

    def files(self, prefix: str) -> dict[str, int]:
        return self.inner.files(prefix)

    def entries(self) -> list[str]:
        return self.inner.entries()

    def view(self, name: str) -> Any:
        return self.inner.view(name)

    def lock(self, name: str, waiting: Callable[[], None]) -> Any:
        return self.inner.lock(name, waiting)

    def tidy(self) -> None:
        self.inner.tidy()


@pytest.fixture(scope="session")
def faulty() -> type[Faulty]:
    """`Faulty` above."""
    return Faulty


@pytest.fixture(scope="session", name="extract")
def extract_fixture() -> Callable[..., None]:
    """`extract` above."""
    return extract


@pytest.fixture(scope="session")
def cell() -> Callable[..., None]:
    """`put` above."""
    return put


@pytest.fixture(scope="session")
def pieces() -> dict[str, NewRow]:
    """The utterances of the sample, and the one that is gone."""
    return CORPUS


@pytest.fixture(scope="session")
def tree() -> Callable[[Path | Folder], dict[str, bytes]]:
    """Every file of a folder with its content, except the lock."""

    def read(root: Path | Folder) -> dict[str, bytes]:
        folder = open_folder(root)
        return folder.read_all(name for name in folder.files("") if name != "ledger/lock")

    return read


@pytest.fixture(scope="session")
def flip() -> Callable[..., None]:
    """Flips one bit of a file, at random unless told where."""

    def change(path: Any, rng: np.random.Generator, at: int | None = None) -> None:
        data = bytearray(path.read_bytes())
        data[int(rng.integers(len(data))) if at is None else at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))

    return change
