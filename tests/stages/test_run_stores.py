"""The locations of a run's stores: relative paths, new ones from the user, and no URL from the run itself."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from svc.common.errors import UserError
from svc.common.progress import Progress
from svc.stages import checkpoint
from svc.stages.rendering.retrieval import Retrieval
from svc.stages.retrieval_index import evenly, read_index, write_index
from svc.stages.run import Run
from svc.stages.run_stores import open_stores, recorded_locations, to_record
from svc.stages.settings import TrainSettings
from svc.stages.training.train import train
from svc.store import open_store
from torch import nn


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


def with_stores(run: Path, *stores: str) -> Run:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "stores": stores}))
    return Run.open(run)


def test_a_store_is_recorded_relative_to_the_run(run: Path, store: Path, tmp_path: Path) -> None:
    opened = Run.open(run)
    assert not Path(opened.config.stores[0]).is_absolute()
    assert [Path(path) for path in recorded_locations(opened)] == [store]
    assert to_record("s3://bucket/a.zarr", run) == "s3://bucket/a.zarr"
    assert to_record(tmp_path / "a.zarr", tmp_path / "runs" / "a") == "../../a.zarr"
    assert to_record("/other/a.zarr", tmp_path) == "/other/a.zarr"  # nothing but the root in common


def test_run_and_store_that_move_together_find_each_other(copy: Path, store: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with_stores(copy, "../choir.zarr")
    shutil.copytree(store, tmp_path / "there" / "choir.zarr")
    copy.rename(tmp_path / "there" / "run")
    (found,) = open_stores(Run.open(tmp_path / "there" / "run"))
    assert Path(found.location) == tmp_path / "there" / "choir.zarr"


def test_a_store_named_in_training_is_recorded(
    copy: Path, store: Path, tmp_path: Path, train_settings: TrainSettings
) -> None:
    """A run that comes with its store from elsewhere is trained on there, and rendered with."""
    with_stores(copy, "/nowhere/choir.zarr")
    shutil.copytree(store, tmp_path / "new.zarr")
    settings = dataclasses.replace(train_settings, steps=62, batch=2)
    said: list[str] = []

    class Said(Progress):
        def say(self, text: str) -> None:
            said.append(text)

    train([tmp_path / "new.zarr"], copy, settings, progress=Said())
    assert any("store is now" in line for line in said)
    assert any("crops a step was 4 and is now 2" in line for line in said)
    assert Run.open(copy).config.stores == ("../new.zarr",)


def test_an_address_in_a_run_is_not_requested(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[object] = []
    monkeypatch.setattr("svc.stages.run_stores.open_store", requested.append)
    opened = with_stores(copy, "http://127.0.0.1:9/a.zarr")
    with pytest.raises(UserError, match=r"is not requested(.|\n)*name it: --store http://127.0.0.1:9/a.zarr"):
        open_stores(opened)
    assert requested == []
    open_stores(opened, ["http://127.0.0.1:9/a.zarr"])
    assert requested == ["http://127.0.0.1:9/a.zarr"]


def test_a_run_without_stores_says_so(copy: Path) -> None:
    with pytest.raises(UserError, match="which store"):
        open_stores(with_stores(copy))


def test_the_index_gives_what_the_store_gives(run: Path, store: Path) -> None:
    opened = Run.open(run)
    for number, name in enumerate(opened.speakers):
        here = Retrieval.of_run(opened, number, nn.Identity())
        there = Retrieval.of_stores([open_store(store)], [name], opened.config.unit_column.name, nn.Identity())
        assert torch.equal(here.keys, there.keys)
        assert torch.equal(here.units, there.units)


def test_the_index_is_bounded_and_from_everywhere(copy: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Run.open(copy)
    whole = [sum(map(len, read_index(opened, number))) for number in (0, 1)]
    opened.index.unlink()
    monkeypatch.setattr("svc.stages.retrieval_index.TOTAL_FRAMES", sum(whole) // 2)
    monkeypatch.setattr("svc.stages.retrieval_index.LEAST_FRAMES", 1)
    write_index(opened, [open_store(store)], Progress())
    for number in (0, 1):
        assert 0.2 * whole[number] < sum(map(len, read_index(opened, number))) < 0.8 * whole[number]
    clips = list(open_store(store))
    assert [clip.id for clip in evenly(clips, 10**9)] == [clip.id for clip in clips]
    chosen = [clips.index(clip) for clip in evenly(clips, sum(clip.row.unit_frames for clip in clips) // 2)]
    assert len(chosen) in (4, 5)
    assert min(chosen) < 2
    assert max(chosen) >= 7


def test_a_flipped_bit_in_the_index_is_found(copy: Path) -> None:
    opened = Run.open(copy)
    data = bytearray(opened.index.read_bytes())
    data[-100] ^= 1
    opened.index.write_bytes(data)
    with pytest.raises(UserError, match=r"index.safetensors is damaged"):
        read_index(opened, 0)


def test_an_index_of_another_run_is_refused(copy: Path) -> None:
    opened = Run.open(copy)
    tensors, metadata = checkpoint.load(opened.index)
    checkpoint.save(opened.index, tensors, {**metadata, "speakers": ["a", "b"]})
    with pytest.raises(UserError, match="of another run"):
        read_index(opened, 0)
