"""Reading a store: the written values, or an exception; never zeros for missing values."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from svc.store import DamagedError, MissingError, Store, StoreError, open_store
from svc.store.checksummed_json import add_checksum
from svc.store.columns import write_column
from svc.store.folder import Folder
from svc.store.packs import NewRow
from svc.store.receipts import write_receipt
from svc.store.writer import open_writer

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]

ON_DISK = pytest.mark.parametrize("sample", ["local"], indirect=True)


def code(text: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@ON_DISK
def test_importing_and_opening_loads_neither_torch_nor_zarr(sample: Sample) -> None:
    done = code(
        """
import sys
import svc.store
assert not {"torch", "zarr", "dask", "pandas", "matplotlib", "xarray"} & sys.modules.keys()
store = svc.store.open_store(sys.argv[1])
assert store[0].f0.shape == (store[0].row.mel_frames,)
assert not {"torch", "zarr", "dask", "pandas", "matplotlib", "xarray"} & sys.modules.keys()
store.utterances, store.array("f0").compute(), repr(store), store[0].plot()
assert "torch" not in sys.modules
""",
        sample.root,
    )
    assert done.returncode == 0, done.stderr


# Finding clips.


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("bass/take03", "bass/take03"),
        ("solo", "alto/solo"),  # not alto/x-solo, which only ends in the same letters
        ("x-solo", "alto/x-solo"),
        ("long", "bass/long"),
        ("bass/live/encore", "bass/live/encore"),
        ("live/encore", "live/encore"),  # an id of its own, though bass/live/encore ends so too
    ],
)
def test_clip_by_id_and_by_the_end_of_an_id(sample: Sample, key: str, found: str) -> None:
    assert sample.open()[key].id == found


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("take03", ["2 utterances", "alto/take03", "bass/take03"]),
        ("encore", ["2 utterances", "bass/live/encore", "live/encore"]),
        ("nobody/nothing", ["nobody/nothing", "20", "alto/solo"]),
        ("take3", ["take3"]),
        ("ake03", ["ake03"]),
        ("alto", ["alto"]),
        ("", ["''"]),
        ("alto/gone", ["alto/gone"]),
    ],
)
def test_ambiguous_and_unknown_names_raise_and_tell(sample: Sample, key: str, told: list[str]) -> None:
    with pytest.raises(MissingError) as caught:
        sample.open()[key]
    assert all(word in str(caught.value) for word in told)
    assert isinstance(caught.value, KeyError)


def test_clips_come_in_the_order_of_the_corpus(sample: Sample, pieces: dict[str, NewRow]) -> None:
    """Which is not the order in which they lie in the packs."""
    store = sample.open()
    ids = sorted(pieces.keys() - {"alto/gone"})
    assert len(store) == len(ids) == 20
    assert [clip.id for clip in store] == [store[number].id for number in range(20)] == ids
    assert store[-1].id == ids[-1]
    places = [(clip.utterance.pack, clip.utterance.row) for clip in store]
    assert places != sorted(places)
    with pytest.raises(IndexError):
        store[20]


def test_speakers_and_repr(sample: Sample, pieces: dict[str, NewRow]) -> None:
    store = sample.open()
    minutes = sum(piece.mel_frames for name, piece in pieces.items() if name != "alto/gone") * 512 / 44100 / 60
    assert store.speakers == ["alto", "bass", "live"]
    assert f"20 utterances of 3 speakers, {minutes:.1f} minutes" in repr(store)
    assert "bass/take03" in store._repr_html_()
    assert "alto/solo" in repr(store["solo"])


# Values.


def test_features_have_the_shapes_dtypes_and_values_written(sample: Sample, pieces: dict[str, NewRow]) -> None:
    columns = {column.name: column for column in sample.columns}
    for clip in sample.open():
        unit, mel = pieces[clip.id].unit_frames, pieces[clip.id].mel_frames
        expected: list[tuple[NDArray[Any], str, tuple[int, ...], type[np.generic]]] = [
            (clip.hidden(7), "hidden/7", (unit, 24), np.float16),
            (clip.hidden(12), "hidden/12", (unit, 24), np.float16),
            (clip.mel, "mel", (mel, 128), np.float16),
            (clip.f0, "f0", (mel,), np.float32),
            (clip.loudness, "loudness", (mel,), np.float32),
            (clip.mel2ph, "mel2ph", (mel,), np.int32),
        ]
        for value, name, shape, dtype in expected:
            assert value.shape == shape
            assert value.dtype == dtype
            assert np.array_equal(value, sample.truth(columns[name], clip.row)), (clip.id, name)
            assert np.array_equal(clip.read(name), value)
        assert clip.missing() == []
        assert clip.speaker == clip.id.split("/")[0]
        assert clip.seconds == pytest.approx(mel * 512 / 44100)


def test_every_feature_tells_clips_apart(sample: Sample) -> None:
    """Shows that the test above can fail: no two clips, and no two columns, have the same values."""
    for name in ("hidden/7", "hidden/12", "mel", "f0", "loudness"):
        assert len({clip.read(name).tobytes() for clip in sample.open()}) == 20
    assert not np.array_equal(sample.open()[3].hidden(7), sample.open()[3].hidden(12))


@settings(max_examples=100, deadline=None, database=None)
@given(st.data())
def test_part_of_a_clip_is_that_part_of_the_whole(sample: Sample, data: st.DataObject) -> None:
    store = sample.open()
    clip = store[data.draw(st.integers(0, 19))]
    column = data.draw(st.sampled_from(sample.columns))
    whole = sample.truth(column, clip.row)
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    assert np.array_equal(clip.read(column.name, start, stop), whole[start:stop])
    assert np.array_equal(clip.read(column.name, start), whole[start:])


@pytest.mark.parametrize(("start", "stop"), [(-1, 10), (10, 9), (0, 129), (130, 130), (129, None)])
def test_part_outside_a_clip_raises(sample: Sample, start: int, stop: int | None) -> None:
    """And never runs on into the next utterance of the pack."""
    clip = sample.open()["bass/live/encore"]
    assert clip.row.mel_frames == 128
    with pytest.raises(IndexError):
        clip.read("f0", start, stop)


def test_unknown_column_raises_and_tells_what_there_is(sample: Sample) -> None:
    with pytest.raises(MissingError, match=r"'hidden/9'.*f0, hidden/12, hidden/7, loudness, mel, mel2ph"):
        sample.open()[0].hidden(9)
    with pytest.raises(MissingError):
        sample.open().array("pitch")


def test_utterance_table(sample: Sample, pieces: dict[str, NewRow]) -> None:
    table = sample.open().utterances
    names = ["id", "speaker", "seconds", "unit_frames", "mel_frames", "source", "start", "end", "complete"]
    assert list(table.columns) == names
    ids = sorted(pieces.keys() - {"alto/gone"})
    assert list(table.id) == list(table.index) == ids
    for name, line in zip(ids, table.itertuples(index=False), strict=True):
        piece = pieces[name]
        speaker, rest = name.split("/", 1)
        assert (line.speaker, line.source, line.complete) == (speaker, f"{rest}.wav", True)
        assert (line.unit_frames, line.mel_frames) == (piece.unit_frames, piece.mel_frames)
        told = (line.seconds, line.start, line.end)
        assert told == tuple(round(n * 512 / 44100, 3) for n in (piece.mel_frames, piece.start, piece.end))
    assert table.loc["bass/on"].start == pytest.approx(300 * 512 / 44100, abs=5e-4)


def test_table_says_what_is_not_complete(copy: Sample) -> None:
    copy.at.receipt("f0", 1).unlink()
    copy.at.shard(copy.columns[2], 2).unlink()
    store = copy.open()
    for clip in store:
        lacking = {0: [], 1: ["f0"], 2: ["mel"]}[clip.utterance.pack]
        assert clip.missing() == lacking
        assert store.utterances.loc[clip.id].complete == (not lacking)


# Over the whole corpus.


@pytest.mark.parametrize("name", ["hidden/7", "mel", "f0", "mel2ph"])
def test_array_is_all_clips_one_after_another(sample: Sample, name: str) -> None:
    store = sample.open()
    array = store.array(name)
    assert isinstance(array, dask.array.Array)
    whole = np.concatenate([sample.truth(store.columns[name], clip.row) for clip in store])
    assert array.shape == whole.shape
    assert array.dtype == whole.dtype
    computed = array.compute()
    assert computed.dtype == whole.dtype
    assert np.array_equal(computed, whole)
    assert np.array_equal(array[777:1234].compute(), whole[777:1234])


def test_array_is_lazy_and_raises_only_for_what_it_needs(copy: Sample) -> None:
    f0 = copy.columns[3]
    copy.at.receipt("f0", 2).unlink()
    array = copy.open().array("f0")
    store = copy.open()
    first = store[0]
    assert first.utterance.pack == 0
    part = array[: first.row.mel_frames].compute()
    assert np.array_equal(part, copy.truth(f0, first.row))
    with pytest.raises(MissingError, match="f0 of pack 2"):
        array.compute()
    with pytest.raises(MissingError, match="f0 of pack 2"):
        array.mean().compute()


def test_array_of_no_utterances_has_the_columns_dtype(copy: Sample) -> None:
    with open_writer(copy.root, copy.size, copy.open().description["identity"]) as writer:
        writer.set_utterances([])
    array = copy.open().array("mel2ph")
    assert array.shape == (0,)
    assert array.dtype == np.int32


def test_making_an_array_does_not_hash_the_store_for_every_utterance(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 utterances take 22 s, 10,000 would take most of an hour, all of it to name dask's tasks."""
    taken = []
    state = Store.__getstate__

    def counted(self: Store) -> object:
        taken.append(self)
        return state(self)

    monkeypatch.setattr(Store, "__getstate__", counted)
    store = sample.open()
    store.array("f0")
    assert len(taken) < len(store)


# What is not there.


@contextmanager
def without(path: Path) -> Iterator[None]:
    aside = path.with_name("aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@pytest.mark.parametrize("what", ["receipt", "shard"])
def test_each_lost_file_raises_for_its_cell_and_no_other(copy: Sample, what: str) -> None:
    for lost, pack in copy.cells():
        path = copy.at.receipt(lost.name, pack) if what == "receipt" else copy.at.shard(lost, pack)
        with without(path):
            for clip in copy.open():
                for column in copy.columns:
                    if (column, clip.utterance.pack) == (lost, pack):
                        with pytest.raises(MissingError if what == "receipt" else DamagedError):
                            clip.read(column.name)
                        assert clip.missing() == [column.name]
                    else:
                        assert np.array_equal(clip.read(column.name), copy.truth(column, clip.row))


@pytest.mark.parametrize("damage", ["empty", "half", "minus one", "plus one", "zeros", "folder"])
def test_shards_that_are_not_whole_raise(copy: Sample, damage: str) -> None:
    for column, pack in copy.cells():
        path = copy.at.shard(column, pack)
        data = path.read_bytes()
        if damage == "folder":
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(
                {
                    "empty": b"",
                    "half": data[: len(data) // 2],
                    "minus one": data[:-1],
                    "plus one": data + b"\0",
                    "zeros": bytes(len(data)),
                }[damage]
            )
    for clip in copy.open():
        for column in copy.columns:
            with pytest.raises(DamagedError):
                clip.read(column.name)


def test_flipped_bits_in_shards_never_read_as_values(copy: Sample, flip: Run) -> None:
    """For each shard, a random bit: whatever is still read is true, and the flipped frames are not read."""
    rng = np.random.default_rng(11)
    refused = 0
    for column, pack in copy.cells():
        path = copy.at.shard(column, pack)
        data = path.read_bytes()
        flip(path, rng)
        for clip in copy.open():
            if clip.utterance.pack == pack:
                try:
                    assert np.array_equal(clip.read(column.name), copy.truth(column, clip.row))
                except DamagedError:
                    refused += 1
        path.write_bytes(data)
    assert refused >= 15  # a flip may hit the padding behind the last frame, or the utterance that is gone


def test_flipped_bits_in_the_ledger_are_noticed_when_opening(copy: Sample, flip: Run) -> None:
    rng = np.random.default_rng(12)
    at = copy.at
    paths = [at.description, at.utterances, *at.packs.iterdir(), *at.columns.rglob("*.json")]
    assert len(paths) == 2 + 3 + 6
    for path in paths:
        data = path.read_bytes()
        for _ in range(15):
            flip(path, rng)
            with pytest.raises(DamagedError):
                copy.open()
            path.write_bytes(data)


def test_flipped_bits_in_receipts_are_noticed(copy: Sample, flip: Run) -> None:
    rng = np.random.default_rng(13)
    for column, pack in copy.cells():
        path = copy.at.receipt(column.name, pack)
        data = path.read_bytes()
        for _ in range(5):
            flip(path, rng)
            with pytest.raises(DamagedError):
                copy.open().read(column.name, 0, pack)
            path.write_bytes(data)


def test_shard_and_receipt_of_another_column_are_not_read(copy: Sample) -> None:
    """Copied together they are whole, and the same shape; but they are not what was asked for."""
    one, other = copy.columns[:2]
    copy.at.shard(one, 0).write_bytes(copy.at.shard(other, 0).read_bytes())
    copy.at.receipt(one.name, 0).write_bytes(copy.at.receipt(other.name, 0).read_bytes())
    with pytest.raises(StoreError):
        copy.open().read(one.name, 0, 0)


def test_shard_and_receipt_of_other_settings_are_not_read(copy: Sample) -> None:
    column = copy.columns[3]
    write_column(copy.layout, replace(column, settings={"floor": 50.0, "method": "harvest"}))
    with pytest.raises(MissingError):
        copy.open()[0].read("f0")


def test_lost_column_raises(copy: Sample) -> None:
    copy.at.column("hidden/7").unlink()
    with pytest.raises(MissingError, match="no column 'hidden/7'"):
        copy.open()[0].hidden(7)


def test_lost_pack_in_the_middle_raises(copy: Sample) -> None:
    copy.at.pack(1).unlink()
    with pytest.raises(DamagedError):
        copy.open()


def test_lost_last_pack_raises(copy: Sample) -> None:
    """The utterance table still names it."""
    copy.at.pack(2).unlink()
    with pytest.raises(StoreError):
        _ = copy.open().utterances


@pytest.mark.parametrize("name", ["nowhere.zarr", "empty"])
def test_opening_what_is_no_store_raises_and_makes_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="is no unit store"):
        open_store(tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_opening_a_file_raises(tmp_path: Path) -> None:
    (tmp_path / "song.wav").write_bytes(b"RIFF")
    with pytest.raises(StoreError):
        open_store(tmp_path / "song.wav")


@ON_DISK
def test_opening_a_store_that_was_never_filled_raises(tmp_path: Path, sample: Sample) -> None:
    with open_writer(tmp_path / "a", sample.size, {"mel_frame_rate": 1.0}):
        pass
    with pytest.raises(StoreError, match="svc extract"):
        open_store(tmp_path / "a")


@ON_DISK
def test_opening_takes_a_string_or_a_path(sample: Sample) -> None:
    assert len(open_store(str(sample.root))) == len(open_store(sample.root)) == 20


def test_reading_changes_no_file(copy: Sample, tree: Callable[[Path | Folder], dict[str, bytes]]) -> None:
    before = tree(copy.root)
    store = copy.open()
    for clip in store:
        for column in copy.columns:
            clip.read(column.name)
    _ = store.utterances, store.array("f0").compute()
    assert tree(copy.root) == before


# A store from a stranger: sealed well, written by no svc.


def test_column_that_names_a_path_outside_is_refused(copy: Sample) -> None:
    for name in ("../../../etc/passwd", "/etc/passwd", "hidden/../f0"):
        (copy.at.columns / "evil.json").write_bytes(add_checksum({**copy.columns[3].__dict__, "name": name}))
        with pytest.raises(DamagedError, match="evil"):
            copy.open()


def test_lengths_that_a_shard_does_not_have_are_refused_without_allocating(copy: Sample) -> None:
    column = copy.columns[3]
    store = copy.open()
    pack = store.packs[0]
    rows = (replace(pack.rows[0], mel_frames=2**50), *pack.rows[1:])
    copy.at.pack(0).write_bytes(add_checksum(replace(pack, rows=rows).to_json()))
    receipt = replace(store.receipt("f0", 0), pack_digest=replace(pack, rows=rows).digest)
    write_receipt(copy.layout, receipt)
    with pytest.raises(DamagedError):
        copy.open().read(column.name, 0, 0)


@ON_DISK
@pytest.mark.parametrize(
    "change",
    [
        {"format": "something else"},
        {"version": 2},
        {"size": {"unit": "8192", "mel": 14208}},
        {"size": {"unit": 8192, "mel": 14208.5}},
        {"size": {"unit": 8192, "mel": 100}},
        {"size": {"unit": 8192, "mel": 2**40}},
        {"size": {"unit": 8192}},
        {"identity": 3},
    ],
    ids=str,
)
def test_a_description_of_something_else_is_refused(copy: Sample, change: dict[str, Any]) -> None:
    described = copy.open().description
    copy.at.description.write_bytes(add_checksum({**described, **change}))
    with pytest.raises(StoreError, match=r"no unit store|version 2|no description that this version understands"):
        copy.open()


@pytest.mark.parametrize(
    "change", [{"dtype": "object"}, {"dtype": "U9"}, {"axis": "depth"}, {"width": 2**40}, {"width": -1}, {"width": 1.5}]
)
def test_column_of_a_kind_that_svc_never_writes_is_refused(copy: Sample, change: dict[str, Any]) -> None:
    """Eight bytes of a stranger's choosing, say, must not become a Python object."""
    copy.at.column("f0").write_bytes(add_checksum({**copy.columns[3].__dict__, **change}))
    with pytest.raises(DamagedError, match="f0"):
        copy.open()
