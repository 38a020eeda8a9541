"""The writer of a store: one process at a time, in a folder that is empty or a store."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from svc.store import DamagedError, StoreError, open_store
from svc.store.folder import Folder
from svc.store.packs import NewRow
from svc.store.schema import PackSize
from svc.store.verify import verify
from svc.store.writer import open_writer

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]
Tree = Callable[[Path | Folder], dict[str, bytes]]

SIZE = PackSize(unit=1024, mel=1920)
IDENTITY: dict[str, Any] = {"mel_frame_rate": 44100 / 512, "slicing": {"longest": 20.0}}
ON_DISK = pytest.mark.parametrize("sample", ["local"], indirect=True)


def few(pieces: dict[str, NewRow], count: int = 10) -> dict[str, NewRow]:
    return dict(list(pieces.items())[:count])


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
first, last = int(sys.argv[3]), int(sys.argv[4])
corpus = dict(list(conftest.CORPUS.items())[first:last])
sys.stdin.readline()
conftest.extract(Path(sys.argv[2]), corpus, waiting=lambda: print("waiting", flush=True))
with open(sys.argv[2] + ".log", "a") as log:
    log.write("child done\\n")
"""


def start_writer(root: Path, first: int, last: int) -> subprocess.Popen[str]:
    """Another process that will extract utterances [first, last) of the corpus once it is sent a line."""
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parent), str(root), str(first), str(last)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def check_everything(root: Path, sample: Sample, pieces: dict[str, NewRow]) -> None:
    store = open_store(root)
    assert sorted(clip.id for clip in store) == sorted(pieces)
    for clip in store:
        for column in sample.columns:
            assert np.array_equal(clip.read(column.name), sample.truth(column, clip.row))
    assert verify(store) == []


@ON_DISK
def test_second_writer_waits_and_both_finish(
    sample: Sample, tmp_path: Path, extract: Run, cell: Run, pieces: dict[str, NewRow]
) -> None:
    """The other process reports that it waits; only then this one continues, and it finishes first."""
    root = tmp_path / "a"
    extract(root, corpus=few(pieces), columns=sample.columns[:1])
    with start_writer(root, 10, len(pieces)) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        with open_writer(root, SIZE, IDENTITY) as writer:
            print(file=other.stdin, flush=True)
            assert other.stdout.readline() == "waiting\n"
            writer.set_columns(sample.columns)
            for column in sample.columns[1:]:
                for number in writer.missing(column):
                    cell(writer, column, writer.packs[number], {})
            assert len(writer.packs) == len(list((root / "ledger" / "packs").iterdir()))
            with Path(f"{root}.log").open("a") as log:
                log.write("parent done\n")
        assert other.stdout.read() == ""  # it is told once
    assert other.returncode == 0
    assert Path(f"{root}.log").read_text() == "parent done\nchild done\n"
    check_everything(root, sample, pieces)


@ON_DISK
def test_three_writers_at_once_lose_nothing(sample: Sample, tmp_path: Path, pieces: dict[str, NewRow]) -> None:
    """Each makes the store if it is first, and has a third of the corpus."""
    root = tmp_path / "a"
    others = [start_writer(root, first, first + 7) for first in (0, 7, 14)]
    for other in others:
        assert other.stdin is not None
        print(file=other.stdin, flush=True)
    for other in others:
        other.communicate()
        assert other.returncode == 0
    check_everything(root, sample, pieces)


def test_waiting_is_not_told_when_nobody_else_writes(copy: Sample) -> None:
    def told() -> None:
        raise AssertionError("nobody has it")

    for _ in range(2):
        with open_writer(copy.root, SIZE, IDENTITY, told):
            pass


def test_writer_that_fails_lets_go_of_the_store(copy: Sample) -> None:
    with pytest.raises(OSError, match="input/output"), open_writer(copy.root, SIZE, IDENTITY):
        raise OSError(errno.EIO, "input/output error")
    test_waiting_is_not_told_when_nobody_else_writes(copy)


@ON_DISK
def test_leftovers_of_a_killed_writer_are_removed_and_nothing_else(copy: Sample, tree: Tree) -> None:
    before = tree(copy.root)
    assert isinstance(copy.root, Path)
    for name in [".a.1.partial", "ledger/.store.json.77.partial", "hidden/7/c/0/.0.123.partial"]:
        (copy.root / name).write_bytes(b"half of")
    with open_writer(copy.root, SIZE, IDENTITY):
        pass
    assert tree(copy.root) == before


@pytest.mark.parametrize("content", ["notes.txt", "c/0/0", ".notes.partial", "zarr.json"])
def test_folder_that_is_no_store_is_refused_and_untouched(tmp_path: Path, tree: Tree, content: str) -> None:
    root = tmp_path / "mine"
    (root / content).parent.mkdir(parents=True)
    (root / content).write_text("precious")
    with pytest.raises(StoreError, match="no unit store"):
        open_writer(root, SIZE, IDENTITY).__enter__()
    assert tree(tmp_path) == {f"mine/{content}": b"precious"}
    assert not (root / "ledger").exists()


def test_folder_with_a_ledger_of_its_own_is_refused_and_untouched(tmp_path: Path, tree: Tree) -> None:
    root = tmp_path / "accounts"
    (root / "ledger").mkdir(parents=True)
    (root / "ledger" / "2024.ods").write_text("precious")
    (root / ".download.partial").write_text("precious")
    before = tree(tmp_path)
    with pytest.raises(StoreError):
        open_writer(root, SIZE, IDENTITY).__enter__()
    assert tree(tmp_path) == before


def test_file_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(StoreError, match="no unit store"):
        open_writer(tmp_path / "a.wav", SIZE, IDENTITY).__enter__()
    assert (tmp_path / "a.wav").read_bytes() == b"RIFF"


@ON_DISK
def test_empty_folder_becomes_a_store(tmp_path: Path, sample: Sample, extract: Run, tree: Tree) -> None:
    (tmp_path / "a").mkdir()
    extract(tmp_path / "a", removed=["alto/gone"])
    assert tree(tmp_path / "a") == tree(sample.root)


def test_damaged_description_stops_the_writer(copy: Sample, flip: Run) -> None:
    flip(copy.at.description, np.random.default_rng(3))
    with pytest.raises(DamagedError):
        open_writer(copy.root, SIZE, IDENTITY).__enter__()


def test_lost_description_stops_the_writer(copy: Sample) -> None:
    copy.at.description.unlink()
    with pytest.raises(StoreError):
        open_writer(copy.root, PackSize(2048, 3840), {"mel_frame_rate": 1.0}).__enter__()
