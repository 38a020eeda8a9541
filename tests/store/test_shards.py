"""Shards: the same bytes as zarr-python's, read back, and never read when they are changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
import zarr.storage
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from svc.store import DamagedError
from svc.store.local import LocalFolder
from svc.store.schema import INNER_FRAMES
from svc.store.shards import Shard, encode
from zarr.codecs import Crc32cCodec

FRAMES = 1024  # room in a shard: 8 inner chunks
KINDS = [("float16", 24), ("float32", 0), ("int32", 0), ("float32", 3), ("float16", 0)]


def make(dtype: str, width: int, frames: int, seed: int = 0) -> NDArray[Any]:
    """Numbers none of which is zero."""
    shape = (frames, width) if width else (frames,)
    rng = np.random.default_rng(seed)
    if dtype == "int32":
        return rng.integers(1, 2**31 - 1, shape, dtype=np.int32)
    return (rng.uniform(1, 9, shape) * rng.choice([-1, 1], shape)).astype(dtype)


def zarr_array(store: Any, source: NDArray[Any], write_empty_chunks: bool = True) -> Any:
    return zarr.create_array(
        store,
        shape=(FRAMES, *source.shape[1:]),
        chunks=(INNER_FRAMES, *source.shape[1:]),
        shards=(FRAMES, *source.shape[1:]),
        dtype=source.dtype,
        compressors=[Crc32cCodec()],
        fill_value=0,
        config={"write_empty_chunks": write_empty_chunks},
    )


def shard_path(folder: Path, width: int) -> Path:
    return folder / "c" / "0" / ("0" if width else "")


def zarr_bytes(source: NDArray[Any], write_empty_chunks: bool = True) -> bytes:
    """The shard file that zarr-python itself writes."""
    store = zarr.storage.MemoryStore()
    padded = np.zeros((FRAMES, *source.shape[1:]), source.dtype)
    padded[: len(source)] = source
    zarr_array(store, source, write_empty_chunks)[:] = padded
    found = [value.to_bytes() for key, value in store._store_dict.items() if key.startswith("c/")]
    assert len(found) == 1
    return bytes(found[0])


def open_shard(path: Path, source: NDArray[Any]) -> Shard:
    return Shard(
        LocalFolder(path.parent).view(path.name), str(path), source.dtype.newbyteorder("<"), source.shape[1:], FRAMES
    )


def read_all(path: Path, source: NDArray[Any]) -> NDArray[Any]:
    shard = open_shard(path, source)
    return shard.read(0, shard.frames)


@pytest.mark.parametrize(("dtype", "width"), KINDS)
def test_full_shard_is_byte_for_byte_what_zarr_writes(dtype: str, width: int) -> None:
    source = make(dtype, width, FRAMES)
    assert encode(source, FRAMES) == zarr_bytes(source)


@pytest.mark.parametrize(("dtype", "width"), KINDS[:3])
def test_full_shard_of_zeros_is_what_zarr_writes_with_empty_chunks(dtype: str, width: int) -> None:
    """Honest zeros are bytes on disk, so that an absent chunk never means zeros."""
    source = np.zeros_like(make(dtype, width, FRAMES))
    assert encode(source, FRAMES) == zarr_bytes(source)


@pytest.mark.parametrize("frames", [1, 127, 128, 129, 500, 896, 897])
@pytest.mark.parametrize(("dtype", "width"), KINDS[:3])
def test_partly_filled_shard_is_what_zarr_writes_without_empty_chunks(dtype: str, width: int, frames: int) -> None:
    """zarr then leaves out the chunks that are all fill value: here just those behind the last frame."""
    source = make(dtype, width, frames)
    assert encode(source, FRAMES) == zarr_bytes(source, write_empty_chunks=False)


@pytest.mark.parametrize("frames", [1, 127, 128, 129, 500, 1024])
@pytest.mark.parametrize(("dtype", "width"), KINDS[:3])
def test_zarr_reads_a_shard(tmp_path: Path, dtype: str, width: int, frames: int) -> None:
    source = make(dtype, width, frames)
    array = zarr_array(tmp_path, source)
    path = shard_path(tmp_path, width)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(source, FRAMES))
    read = array[:]
    assert read.dtype == source.dtype
    assert np.array_equal(read[:frames], source)
    assert not read[frames:].any()


@pytest.mark.parametrize(("dtype", "width"), KINDS[:3])
def test_reads_a_shard_that_zarr_wrote(tmp_path: Path, dtype: str, width: int) -> None:
    source = make(dtype, width, FRAMES)
    zarr_array(tmp_path, source)[:] = source
    assert np.array_equal(read_all(shard_path(tmp_path, width), source), source)


def test_big_endian_input_is_stored_little_endian(tmp_path: Path) -> None:
    source = make("float32", 0, 300)
    assert encode(source.astype(">f4"), FRAMES) == encode(source, FRAMES)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, NDArray[Any]]]:
    """Shards of every kind, full, one frame long, and with a last chunk of four frames."""
    folder = tmp_path_factory.mktemp("shards")
    found = []
    for dtype, width in KINDS:
        for frames in (1, 900, FRAMES):
            source = make(dtype, width, frames)
            path = folder / f"{dtype}-{width}-{frames}"
            path.write_bytes(encode(source, FRAMES))
            found.append((path, source))
    return found


@settings(max_examples=200, deadline=None, database=None)
@given(st.data())
def test_ranges_equal_the_source(stored: list[tuple[Path, NDArray[Any]]], data: st.DataObject) -> None:
    """Several ranges from one open shard, near chunk borders more often than not, in whatever order."""
    path, source = data.draw(st.sampled_from(stored))
    shard = open_shard(path, source)
    near = st.sampled_from(range(0, len(source) + 1, INNER_FRAMES))
    edge = near | st.integers(0, len(source)) | near.map(lambda at: min(at + 1, len(source)))
    for first, second in data.draw(st.lists(st.tuples(edge, edge), min_size=1, max_size=6)):
        start, stop = sorted((first, second))
        read = shard.read(start, stop)
        assert read.dtype == source.dtype
        assert read.shape == (stop - start, *source.shape[1:])
        assert np.array_equal(read, source[start:stop])


def test_empty_shard_holds_no_frames(tmp_path: Path) -> None:
    source = make("float16", 24, 0)
    (tmp_path / "s").write_bytes(encode(source, FRAMES))
    assert read_all(tmp_path / "s", source).shape == (0, 24)


def test_what_is_read_is_a_copy(tmp_path: Path) -> None:
    """Changing it changes neither the file nor what is read next."""
    source = make("float32", 0, 300)
    (tmp_path / "s").write_bytes(encode(source, FRAMES))
    shard = open_shard(tmp_path / "s", source)
    shard.read(10, 20)[:] = 0
    assert np.array_equal(shard.read(10, 20), source[10:20])
    assert (tmp_path / "s").read_bytes() == encode(source, FRAMES)


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 385), (385, 386), (384, 1024)])
def test_ranges_outside_raise(tmp_path: Path, start: int, stop: int) -> None:
    source = make("float32", 0, 300)  # three chunks: 384 frames
    (tmp_path / "s").write_bytes(encode(source, FRAMES))
    with pytest.raises(DamagedError):
        open_shard(tmp_path / "s", source).read(start, stop)


@pytest.mark.parametrize("frames", [300, FRAMES])
@pytest.mark.parametrize(("dtype", "width"), KINDS[:2])
def test_every_flipped_bit_is_noticed(tmp_path: Path, dtype: str, width: int, frames: int) -> None:
    source = make(dtype, width, frames)
    data = encode(source, FRAMES)
    rng = np.random.default_rng(5)
    unnoticed = []
    for at in [*rng.integers(len(data), size=200), *range(len(data) - 132, len(data))]:  # and all of the index
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "s").write_bytes(changed)
        try:
            read_all(tmp_path / "s", source)
        except DamagedError:
            continue
        unnoticed.append(at)
    assert unnoticed == []


def test_damage_in_one_chunk_spares_the_others(tmp_path: Path) -> None:
    source = make("float32", 0, 600)
    data = bytearray(encode(source, FRAMES))
    data[2 * (INNER_FRAMES * 4 + 4) + 17] ^= 4
    (tmp_path / "s").write_bytes(data)
    shard = open_shard(tmp_path / "s", source)
    assert np.array_equal(shard.read(0, 256), source[:256])
    assert np.array_equal(shard.read(384, 600), source[384:])
    for start, stop in [(256, 257), (255, 257), (383, 384), (0, 600)]:
        with pytest.raises(DamagedError, match="inner chunk 2"):
            shard.read(start, stop)


@pytest.mark.parametrize("frames", [1, 300, FRAMES])
@pytest.mark.parametrize("length", ["half", "minus one", "plus one", "one", "index only", "index and more"])
def test_truncated_and_lengthened_files_are_noticed(tmp_path: Path, frames: int, length: str) -> None:
    source = make("float16", 24, frames)
    data = encode(source, FRAMES)
    cut = {
        "half": data[: len(data) // 2],
        "minus one": data[:-1],
        "plus one": data + b"\0",
        "one": data[:1],
        "index only": data[-132:],
        "index and more": data[:-132] + bytes(132) + data[-132:],
    }[length]
    (tmp_path / "s").write_bytes(cut)
    with pytest.raises(DamagedError):
        read_all(tmp_path / "s", source)


def test_file_truncated_to_nothing_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"")
    with pytest.raises(DamagedError):
        open_shard(tmp_path / "s", make("float32", 0, 1))


@pytest.mark.parametrize("other", [("float32", 24), ("float16", 0), ("float16", 23), ("float16", 48)])
def test_shard_of_another_shape_or_dtype_is_refused(tmp_path: Path, other: tuple[str, int]) -> None:
    (tmp_path / "s").write_bytes(encode(make("float16", 24, 300), FRAMES))
    with pytest.raises(DamagedError):
        open_shard(tmp_path / "s", make(*other, 1))


def test_shard_of_another_length_is_refused(tmp_path: Path) -> None:
    source = make("float16", 24, 300)
    (tmp_path / "s").write_bytes(encode(source, 2 * FRAMES))
    with pytest.raises(DamagedError):
        open_shard(tmp_path / "s", source)
