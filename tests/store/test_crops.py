"""Random crops: the same as zarr-python reads, from any process, receipts looked at once per open."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from svc.store import DamagedError, open_store, reader
from svc.store.receipts import read_receipt

if TYPE_CHECKING:
    from .conftest import Sample

pytestmark = pytest.mark.parametrize("sample", ["local"], indirect=True)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_crops_are_bit_for_bit_what_zarr_reads(sample: Sample, data: st.DataObject) -> None:
    store = sample.open()
    clip = store[data.draw(st.integers(0, len(store) - 1))]
    column = data.draw(st.sampled_from(sample.columns))
    offset, length = clip.row.place(column.axis)
    start = data.draw(st.integers(0, length))
    stop = data.draw(st.integers(start, length))
    begin = clip.utterance.pack * sample.size.of(column.axis) + offset
    theirs = np.asarray(zarr.open_array(Path(str(sample.root)) / column.name)[begin + start : begin + stop])
    ours = clip.read(column.name, start, stop)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert ours.tobytes() == theirs.tobytes()


def test_receipts_are_looked_at_once_per_open(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[str, int]] = []
    real = read_receipt

    def counting(layout: Any, column: Any, pack: Any) -> Any:
        looked.append((column.name, pack.number))
        return real(layout, column, pack)

    monkeypatch.setattr(reader, "read_receipt", counting)
    store = sample.open()
    for _ in range(3):
        for clip in store:
            clip.read("mel", 0, 1)
    assert sorted(looked) == sorted(2 * [("mel", pack) for pack in range(3)])  # before and after the shard is opened


def test_every_chunk_is_checked_before_a_crop_of_it_is_given(copy: Sample, flip: Callable[..., None]) -> None:
    path = copy.at.shard(copy.columns[2], 0)
    flip(path, np.random.default_rng(0), at=5000)  # in the first chunk
    clip = copy.open()[0]
    pack = [clip for clip in copy.open() if clip.utterance.pack == 0]
    refused = 0
    for clip in pack:
        for start in range(0, clip.row.mel_frames, 7):
            offset = clip.row.mel_offset + start
            if offset < 128:
                with pytest.raises(DamagedError):
                    clip.read("mel", start, start + 1)
                refused += 1
            else:
                assert np.array_equal(
                    clip.read("mel", start, start + 1), copy.truth(copy.columns[2], clip.row)[start : start + 1]
                )
    assert refused > 10


@pytest.fixture
def loading() -> Iterator[Any]:
    """`loading.py` beside this file, by a name under which workers find it too."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(Path(__file__).parent))
        yield importlib.import_module("loading")
    sys.modules.pop("loading", None)


@pytest.mark.parametrize("way", ["spawn", "forkserver"])
def test_workers_of_a_data_loader_read_what_this_process_reads(sample: Sample, loading: Any, way: str) -> None:
    """The store was read here before: the workers are sent its records, never its maps, and open their own."""
    from torch.utils.data import DataLoader

    store = open_store(str(sample.root))
    here = [loading.Steps(store, 12)[step][1] for step in range(12)]
    loader = DataLoader(
        loading.Steps(store, 12),
        batch_size=1,
        num_workers=2,
        multiprocessing_context=way,
        collate_fn=loading.first,
        timeout=300,
    )
    there = list(loader)
    assert len({process for process, _ in there}) == 2
    for (_, crops), expected in zip(there, here, strict=True):
        assert all(map(np.array_equal, crops, expected))


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_a_step_is_the_same_on_any_number_of_ranks(sample: Sample, loading: Any, world: int) -> None:
    """From any first step: a resumed run gets the same crops."""
    alone = loading.Steps(sample.open(), 8)
    ranks = [loading.Steps(sample.open(), 8, rank, world) for rank in range(world)]
    for step in (5, 2, 7):
        shares = [rank[step][1] for rank in ranks]
        together = [shares[number % world][number // world] for number in range(6)]
        assert all(map(np.array_equal, together, alone[step][1]))
