"""Writing a store: cells whole or absent, receipts last, one owner at a time, and nothing mixed that differs."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pytest
from svc.store import DamagedError, MissingError, SettingsError, StoreError, open_store
from svc.store.cells import write_cell
from svc.store.checksummed_json import add_checksum, check_checksum
from svc.store.columns import read_columns
from svc.store.folder import Folder
from svc.store.packs import NewRow
from svc.store.schema import MEL, Column, PackSize
from svc.store.verify import verify
from svc.store.writer import open_writer

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]
Tree = Callable[[Path | Folder], dict[str, bytes]]

SIZE = PackSize(unit=1024, mel=1920)
IDENTITY: dict[str, Any] = {"mel_frame_rate": 44100 / 512, "slicing": {"longest": 20.0}}
F0 = Column("f0", MEL, "float32", 0, "Hz", {"method": "harvest", "limits": {"floor": 65.0, "ceiling": 1100.0}})

ON_DISK = pytest.mark.parametrize("sample", ["local"], indirect=True)


def few(pieces: dict[str, NewRow], count: int = 10) -> dict[str, NewRow]:
    return dict(list(pieces.items())[:count])


def raising(*args: Any, **kwargs: Any) -> NoReturn:
    raise OSError(errno.EIO, "input/output error")


@ON_DISK
def test_cells_are_missing_until_they_are_put(sample: Sample, tmp_path: Path, cell: Run, extract: Run) -> None:
    extract(tmp_path / "a", columns=[])
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_columns(sample.columns)
        left = {column.name: [0, 1, 2] for column in sample.columns}
        for number in (1, 2, 0):
            for column in sample.columns:
                assert {c.name: writer.missing(c) for c in sample.columns} == left
                cell(writer, column, writer.packs[number], {})
                left[column.name].remove(number)
        assert all(writer.missing(column) == [] for column in sample.columns)


@ON_DISK
def test_packs_that_hold_nothing_of_the_corpus_are_not_missing(sample: Sample, tmp_path: Path, extract: Run) -> None:
    extract(tmp_path / "a", columns=[])
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_utterances([u for u in writer.utterances if u.pack != 1])
        assert writer.missing(sample.columns[0]) == [0, 2]
        writer.set_utterances([])
        assert writer.missing(sample.columns[0]) == []


@pytest.mark.parametrize("damage", ["no shard", "short shard", "empty shard", "no receipt", "bad receipt"])
def test_cell_that_is_not_whole_is_missing(copy: Sample, damage: str, flip: Run) -> None:
    column = copy.columns[0]
    shard, receipt = copy.at.shard(column, 1), copy.at.receipt(column.name, 1)
    match damage:
        case "no shard":
            shard.unlink()
        case "short shard":
            shard.write_bytes(shard.read_bytes()[:-1])
        case "empty shard":
            shard.write_bytes(b"")
        case "no receipt":
            receipt.unlink()
        case _:
            flip(receipt, np.random.default_rng(0))
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        assert {c.name: writer.missing(c) for c in copy.columns if writer.missing(c)} == {column.name: [1]}


def test_receipts_count_only_for_their_pack_and_column(copy: Sample) -> None:
    """A receipt copied from elsewhere, seal and all, is no receipt."""
    one, other = copy.columns[:2]
    copy.at.receipt(one.name, 0).write_bytes(copy.at.receipt(one.name, 1).read_bytes())
    copy.at.receipt(one.name, 2).write_bytes(copy.at.receipt(other.name, 2).read_bytes())
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        assert writer.missing(one) == [0, 2]


def test_receipt_is_written_after_its_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extract: Run) -> None:
    """At every moment, whatever has a receipt has a whole shard."""
    replaced: list[str] = []
    rename = Path.replace

    def spy(self: Path, target: Path) -> Path:
        replaced.append(str(Path(target).relative_to(tmp_path / "a")))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    extract(tmp_path / "a")
    receipts = [name for name in replaced if name.startswith("ledger/receipts/")]
    assert len(receipts) == 18
    for name in receipts:
        column, pack = name.removeprefix("ledger/receipts/").removesuffix(".json").rsplit("/", 1)
        shards = [n for n in replaced[: replaced.index(name)] if n.startswith(f"{column}/c/{int(pack)}")]
        assert len(shards) == 1


def test_crash_between_shard_and_receipt_loses_that_cell_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extract: Run, tree: Tree
) -> None:
    extract(tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr("svc.store.writer.write_receipt", raising)
        with pytest.raises(OSError, match="input/output"):
            extract(tmp_path / "a")
    assert (tmp_path / "a" / "hidden" / "7" / "c" / "0" / "0").is_file()
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        assert writer.missing(writer.columns["hidden/7"]) == [0, 1, 2]
    with pytest.raises(MissingError):
        open_store(tmp_path / "a").read("hidden/7", 0, 0)
    extract(tmp_path / "a")
    assert tree(tmp_path / "a") == tree(tmp_path / "whole")


def failing_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, but for its call number `call` and all after it: the disk is full, or the machine is off."""
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > call:
            raise OSError(errno.ENOSPC, "no space left on device")
        return function(*args, **kwargs)

    return wrapped


def tidy_nothing(unlink: Callable[..., None]) -> Callable[..., None]:
    """A process that is dead removes none of its leftovers."""

    def only_others(self: Path, missing_ok: bool = False) -> None:
        if not self.name.startswith("."):
            unlink(self, missing_ok)

    return only_others


@pytest.mark.parametrize(
    ("owner", "name"),
    [(os, "fsync"), (Path, "replace")],
    ids=["sync", "rename"],
)
@ON_DISK
def test_stopped_at_any_write_and_run_again_is_the_uninterrupted_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Sample, extract: Run, tree: Tree,
    pieces: dict[str, NewRow], owner: Any, name: str,
) -> None:  # fmt: skip
    """For every k, the k-th write and all that follow fail; nobody tidies up; then the same is run again.

    In between, no reader sees a value that is not true.
    """
    arguments = {"corpus": few(pieces, 12), "columns": [sample.columns[0], sample.columns[3]]}
    extract(tmp_path / "whole", **arguments)
    whole = tree(tmp_path / "whole")
    for call in range(1000):
        root = tmp_path / str(call)
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, failing_at(call, getattr(owner, name)))
            patched.setattr(Path, "unlink", tidy_nothing(Path.unlink))
            try:
                extract(root, **arguments)
            except OSError:
                pass
            else:
                break
        if (root / "ledger" / "utterances.json").exists():
            store = open_store(root)
            for clip in store:
                for column in store.columns.values():
                    if store.has(column.name, clip.utterance.row, clip.utterance.pack):
                        assert np.array_equal(clip.read(column.name), sample.truth(column, clip.row))
        extract(root, **arguments)
        again = tree(root)
        assert again.keys() == whole.keys(), call
        assert {path for path in whole if again[path] != whole[path]} == set(), call
    assert 5 < call < 999


def test_running_again_changes_no_byte(copy: Sample, extract: Run, tree: Tree) -> None:
    before = tree(copy.root)
    extract(copy.root, removed=["alto/gone"])
    assert tree(copy.root) == before


@ON_DISK
def test_two_stores_of_one_corpus_are_equal(sample: Sample, tmp_path: Path, extract: Run, tree: Tree) -> None:
    extract(tmp_path / "a", removed=["alto/gone"])
    assert tree(tmp_path / "a") == tree(sample.root)


@ON_DISK
def test_growing_keeps_every_shard_and_receipt(
    sample: Sample, tmp_path: Path, extract: Run, tree: Tree, pieces: dict[str, NewRow]
) -> None:
    """What is there is not rewritten, what is new goes into new packs, and both are read."""
    root = tmp_path / "a"
    extract(root, corpus=few(pieces), columns=sample.columns[:4])
    cells = [path for path in tree(root) if "/c/" in path or path.startswith(("ledger/packs", "ledger/receipts"))]
    before = {path: (root / path).stat().st_mtime_ns for path in cells if "row_size" not in path}
    extract(root, columns=sample.columns)
    assert {path: (root / path).stat().st_mtime_ns for path in before} == before
    store = open_store(root)
    assert len(store) == len(pieces)
    for clip in store:
        for column in sample.columns:
            assert np.array_equal(clip.read(column.name), sample.truth(column, clip.row))


def test_stopped_run_and_uninterrupted_one_agree_on_the_order_of_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tree: Tree
) -> None:
    """Stopped after the column's own file is there, and before zarr's."""
    assert list(F0.settings) != sorted(F0.settings)
    with open_writer(tmp_path / "whole", SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
    with monkeypatch.context() as patched, open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        patched.setattr("svc.store.writer.write_arrays", raising)
        with pytest.raises(OSError, match="input/output"):
            writer.set_columns([F0])
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
    assert tree(tmp_path / "a") == tree(tmp_path / "whole")


# Settings.


def change(column: Column, **settings: Any) -> Column:
    return replace(column, settings={**column.settings, **settings})


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (change(F0, method="dio"), ["method: harvest in the store, dio asked for"]),
        (
            change(F0, limits={"floor": 50.0, "ceiling": 1100.0}),
            ["limits.floor: 65.0 in the store, 50.0 asked for"],
        ),
        (
            change(F0, limits={"floor": 65.0, "ceiling": 1100.0, "by": {"voice": {"bass": 1}}}),
            ["limits.by: nothing in the store"],
        ),
        (change(F0, version=2), ["version: nothing in the store, 2 asked for"]),
        (replace(F0, settings={"method": "harvest"}), ["limits:", "in the store, nothing asked for"]),
        (
            change(F0, method="dio", version=2),
            ["method: harvest in the store, dio asked for", "version: nothing in the store, 2 asked for"],
        ),
        (change(F0, method=None), ["method: harvest in the store, None asked for"]),
    ],
)
def test_other_settings_are_refused_and_told(tmp_path: Path, tree: Tree, asked: Column, told: list[str]) -> None:
    root = tmp_path / "a"
    with open_writer(root, SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
    before = tree(root)
    with open_writer(root, SIZE, IDENTITY) as writer, pytest.raises(SettingsError) as caught:
        writer.set_columns([replace(F0, name="other"), asked])
    for line in ["column f0", *told]:
        assert line in str(caught.value)
    for same in {"method", "floor", "ceiling"} - {word for line in told for word in line.replace(":", ".").split(".")}:
        assert f"{same}:" not in str(caught.value)
    assert tree(root) == before


def test_differing_setting_is_named_by_its_whole_path(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a", SIZE, {"a": {"b": {"c": {"d": 1, "e": 2}}}}):
        pass
    with pytest.raises(SettingsError, match=r"\n  a\.b\.c\.e: 2 in the store, 3 asked for\n"):
        open_writer(tmp_path / "a", SIZE, {"a": {"b": {"c": {"d": 1, "e": 3}}}}).__enter__()


def test_same_settings_in_another_order_are_the_same(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
        writer.set_columns([replace(F0, settings=dict(reversed(F0.settings.items())))])


def test_setting_that_is_none_is_told_from_one_that_is_absent(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
        with pytest.raises(SettingsError) as caught:
            writer.set_columns([change(F0, version=None)])
    assert "version" in str(caught.value)


OTHERS = [replace(F0, dtype="float16"), replace(F0, width=2), replace(F0, axis="unit")]


@pytest.mark.parametrize("asked", OTHERS, ids=["dtype", "width", "axis"])
def test_same_settings_but_another_kind_of_array_is_refused(tmp_path: Path, asked: Column, extract: Run) -> None:
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
        with pytest.raises(StoreError):
            writer.set_columns([asked])


def test_where_a_column_came_from_decides_nothing(copy: Sample) -> None:
    column = copy.columns[0]
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        writer.set_columns([replace(column, origin="/elsewhere")])
        assert writer.missing(column) == []
    assert read_columns(copy.layout)[column.name].origin == "/elsewhere"


def test_store_of_another_identity_is_refused_and_told(copy: Sample, tree: Tree) -> None:
    before = tree(copy.root)
    asked = {"mel_frame_rate": 44100 / 512, "slicing": {"longest": 12.5}}
    with pytest.raises(SettingsError, match=r"slicing\.longest: 20\.0 in the store, 12\.5 asked for"):
        open_writer(copy.root, SIZE, asked).__enter__()
    assert tree(copy.root) == before


def test_old_store_keeps_its_pack_size(copy: Sample) -> None:
    with open_writer(copy.root, PackSize(2048, 3840), IDENTITY) as writer:
        assert writer.size == SIZE
    assert open_store(copy.root).size == SIZE


def test_store_of_another_version_is_refused(copy: Sample) -> None:
    description = check_checksum(copy.at.description.read_bytes(), "")
    copy.at.description.write_bytes(add_checksum({**description, "version": 999}))
    with pytest.raises(StoreError, match="999"):
        open_writer(copy.root, SIZE, IDENTITY).__enter__()
    with pytest.raises(StoreError, match="999"):
        open_store(copy.root)


# Values.


def wrong_values() -> list[tuple[str, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]]]:
    def spoil(value: float) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
        def change(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            changed = array.copy()
            changed.reshape(-1)[-1] = value
            return changed

        return change

    return [
        ("short", lambda array: array[:-1]),
        ("long", lambda array: np.concatenate([array, array[:1]])),
        ("narrow", lambda array: array[:, :-1]),
        ("flat", lambda array: array.reshape(-1)),
        ("deep", lambda array: array[..., None]),
        ("float32", lambda array: array.astype(np.float32)),
        ("int16", lambda array: array.astype(np.int16)),
        ("big-endian", lambda array: array.astype(">f2")),
        ("nan", spoil(np.nan)),
        ("inf", spoil(np.inf)),
        ("-inf", spoil(-np.inf)),
    ]


@pytest.mark.parametrize(("name", "wrong"), wrong_values(), ids=[name for name, _ in wrong_values()])
def test_wrong_values_are_refused_and_nothing_is_written(
    copy: Sample, tree: Tree, name: str, wrong: Callable[..., Any]
) -> None:
    before = tree(copy.root)
    column = copy.columns[0]
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        pack = writer.packs[1]
        values = {number: copy.truth(column, row) for number, row in enumerate(pack.rows)}
        values[2] = wrong(values[2])
        with pytest.raises(StoreError, match=r"hidden/7, pack 1, row 2"):
            write_cell(copy.root, writer.size, column, pack, values, {}, {})
    assert tree(copy.root) == before


def test_wrong_integers_are_refused(copy: Sample) -> None:
    column = copy.columns[5]
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        pack = writer.packs[0]
        values = {number: copy.truth(column, row) for number, row in enumerate(pack.rows)}
        values[0] = values[0].astype(np.int64)
        with pytest.raises(StoreError, match="int64"):
            write_cell(copy.root, writer.size, column, pack, values, {}, {})


def test_every_row_has_values_or_a_reason(copy: Sample) -> None:
    column = copy.columns[0]
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        pack = writer.packs[0]
        values = {number: copy.truth(column, row) for number, row in enumerate(pack.rows)}
        del values[1]
        with pytest.raises((AssertionError, StoreError)):
            write_cell(copy.root, writer.size, column, pack, values, {}, {})


def test_receipt_says_what_was_written(copy: Sample) -> None:
    """Truth: the file itself."""
    import hashlib

    store = copy.open()
    for column, pack in copy.cells():
        receipt = store.receipt(column.name, pack)
        data = copy.at.shard(column, pack).read_bytes()
        assert (receipt.size, receipt.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert (receipt.column, receipt.pack, receipt.pack_digest) == (column.name, pack, store.packs[pack].digest)
        assert (receipt.made_by, receipt.made_with, receipt.refused) == (column.made_by, {"svc": "test"}, {})


# Refused rows.


@ON_DISK
def test_refused_rows_raise_with_their_reason_and_spare_the_others(
    sample: Sample, tmp_path: Path, extract: Run
) -> None:
    extract(tmp_path / "a", refused={"bass/long": "it is all static"})
    store = open_store(tmp_path / "a")
    for clip in store:
        for column in sample.columns:
            if clip.id == "bass/long":
                with pytest.raises(MissingError, match="it is all static"):
                    clip.read(column.name)
                with pytest.raises(MissingError, match="it is all static"):
                    clip.read(column.name, 0, 0)
            else:
                assert np.array_equal(clip.read(column.name), sample.truth(column, clip.row))
    assert sorted(store["bass/long"].missing()) == sorted(column.name for column in sample.columns)
    assert list(store.utterances.query("not complete").id) == ["bass/long"]


@ON_DISK
def test_refused_without_a_reason_is_still_refused(sample: Sample, tmp_path: Path, extract: Run) -> None:
    extract(tmp_path / "a", refused={"bass/long": ""})
    with pytest.raises(MissingError):
        open_store(tmp_path / "a")["bass/long"].read("f0")


@ON_DISK
def test_refused_rows_are_recomputed_while_they_are_in_the_corpus(sample: Sample, tmp_path: Path, extract: Run) -> None:
    root = tmp_path / "a"
    extract(root, refused={"bass/long": "static", "alto/take06": "static"})
    store = open_store(root)
    packs = sorted({store["bass/long"].utterance.pack, store["alto/take06"].utterance.pack})
    assert len(packs) == 2
    with open_writer(root, SIZE, IDENTITY) as writer:
        everyone = writer.utterances
        assert [writer.missing(column) for column in sample.columns] == [packs] * 6
        writer.set_utterances([u for u in everyone if u.id != "bass/long"])
        assert [writer.missing(column) for column in sample.columns] == [packs[1:]] * 6
        writer.set_utterances([u for u in everyone if u.id not in ("bass/long", "alto/take06")])
        assert [writer.missing(column) for column in sample.columns] == [[]] * 6
        writer.set_utterances(everyone)
    extract(root)  # nothing is refused now
    store = open_store(root)
    assert store.utterances.complete.all()
    for column in sample.columns:
        assert np.array_equal(store["bass/long"].read(column.name), sample.truth(column, store["bass/long"].row))


# Who may write, and where.

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
    """The other process says that it waits; only then does this one go on, and it is done first."""
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
        raising()
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
