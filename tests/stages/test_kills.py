"""Processes killed with -9 at random moments, and many at once on one store.

What was acknowledged before a kill is there after it, untouched; nothing half written can be read; and the same command
again ends with what it would have ended with.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from svc.common.errors import UserError
from svc.pipeline.slicing import SliceSettings
from svc.stages import checkpoint
from svc.stages.extraction.extract import extract
from svc.stages.features import identity
from svc.stages.settings import ExtractSettings, TrainSettings
from svc.stages.training.train import train
from svc.store import DamagedError, StoreError, open_store
from svc.store.receipts import check_sha256, read_receipt
from svc.store.schema import PackSize
from svc.store.writer import open_writer

Tree = Callable[[Path], dict[str, str]]
Tally = Callable[..., None]
Start = Callable[..., Any]

pytestmark = pytest.mark.torture
LONG = [pytest.mark.long]
SETTINGS: dict[str, Any] = {"f0": "dio", "device": "cpu"}

# The commands, and what they import once they need it.
PRELOADED = [
    "svc.stages.extraction.extract",
    "svc.stages.training.train",
    "transformers.models.hubert.modeling_hubert",
    "zarr",
]
PRELOADED += ["diffusers.schedulers", "matplotlib.backends.backend_agg", "matplotlib.figure", "pyworld", "scipy.signal"]
PRELOADED += ["sklearn.cluster", "soundfile", "soxr"]


@pytest.fixture(scope="module")
def start() -> Start:
    """Runs a function in a process of its own, forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)

    def begin(function: Callable[..., Any], *arguments: Any) -> Any:
        process = context.Process(target=function, args=arguments)
        process.start()
        return process

    return begin


def begin_small(path: Path) -> Path:
    """A store with nothing in it yet, whose packs are so small that there will be several."""
    with open_writer(path, PackSize(256, 512), identity(SliceSettings())):
        return path


def timed(process: Any) -> float:
    """Seconds until a process succeeds."""
    begun = time.monotonic()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - begun


def killed(process: Any, after: float) -> bool:
    """Kill a process after so many seconds; whether it still lived."""
    process.join(after)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode in (0, -9)
    return bool(process.exitcode)


def torn_cells(path: Path) -> int:
    """Cells with a receipt whose bytes are not those that it names."""
    try:
        store = open_store(path)
    except DamagedError:
        return 1
    except StoreError:
        return 0  # nothing was committed yet
    torn = 0
    for column in store.columns.values():
        for pack in store.packs:
            if (path / store.layout.receipt(column.name, pack.number)).exists():
                try:
                    check_sha256(store.layout, column, pack, read_receipt(store.layout, column, pack))
                except StoreError:
                    torn += 1
    return torn


@pytest.mark.parametrize("tries", [3, pytest.param(200, marks=LONG)])
def test_extract_killed_at_random_moments(
    tmp_path: Path, corpus: Path, encoder: Path, start: Start, tree: Tree, tally: Tally, tries: int
) -> None:
    settings = ExtractSettings(encoder=str(encoder), **SETTINGS)
    whole = begin_small(tmp_path / "whole.zarr")
    lasts = timed(start(extract, [corpus / "alto"], whole, settings))
    whole_tree = tree(whole)
    rng = random.Random(1)
    kills = number = 0
    while kills < tries:
        number += 1
        path = begin_small(tmp_path / f"{number}.zarr")
        receipts: dict[Path, int] = {}
        while killed(start(extract, [corpus / "alto"], path, settings), rng.uniform(0, lasts)):
            kills += 1
            now = {file: file.stat().st_mtime_ns for file in path.glob("ledger/receipts/**/[0-9]*.json")}
            lost = sum(now.get(file) != when for file, when in receipts.items())  # gone, or written again
            torn = torn_cells(path)
            tally("kill -9 of extract", tries=1, lost=lost, torn=torn)
            assert (lost, torn) == (0, 0)
            receipts = now
        different = {name for name, _ in tree(path).items() ^ whole_tree.items()}
        tally("kill -9 of extract", repaired=int(not different))
        assert different == set()


@pytest.mark.parametrize("tries", [4, pytest.param(200, marks=LONG)])
def test_train_killed_at_random_moments(
    tmp_path: Path, store: Path, train_settings: TrainSettings, start: Start, tally: Tally, tries: int
) -> None:
    settings = dataclasses.replace(train_settings, steps=6, validate_every=2, unit_steps=5)
    lasts = timed(start(train, [store], tmp_path / "whole", settings))
    truth = weights(tmp_path / "whole")
    rng = random.Random(2)
    kills = number = 0
    while kills < tries:
        number += 1
        path = tmp_path / str(number)
        step = 0
        while killed(start(train, [store], path, settings), rng.uniform(0, lasts)):
            kills += 1
            torn, now = 0, 0
            for file in path.glob("[a-z]*.safetensors"):
                try:
                    metadata = checkpoint.load(file)[1]
                    now = max(now, metadata["step"]) if file.stem == "last" else now
                except UserError:
                    torn += 1
            tally("kill -9 of train", tries=1, lost=int(now < step), torn=torn)
            assert torn == 0
            assert now >= step
            step = now
        same = weights(path) == truth
        tally("kill -9 of train", repaired=int(same))
        assert same


def weights(run: Path) -> dict[str, dict[str, list[Any]]]:
    """All numbers of a run's checkpoints."""
    files = sorted(run.glob("[a-z]*.safetensors"))
    assert {file.stem for file in files} >= {"units", "last", "best"}
    return {file.name: {k: v.tolist() for k, v in checkpoint.load(file)[0].items()} for file in files}


@pytest.mark.parametrize("count", [3, pytest.param(8, marks=LONG)])
def test_extracts_at_once_on_one_store(
    tmp_path: Path, corpus: Path, encoder: Path, start: Start, tree: Tree, tally: Tally, count: int
) -> None:
    """The first of them is killed while it has the store."""
    settings = ExtractSettings(encoder=str(encoder), **SETTINGS)
    whole = begin_small(tmp_path / "whole.zarr")
    timed(start(extract, [corpus / "alto"], whole, settings))
    path = begin_small(tmp_path / "s.zarr")
    processes = [start(extract, [corpus / "alto"], path, settings) for _ in range(count)]
    while not list(path.glob("ledger/receipts/**/[0-9]*.json")):
        time.sleep(0.002)
    processes[0].kill()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes[1:]] == [0] * (count - 1)
    torn = torn_cells(path)
    same = tree(path) == tree(whole)
    tally(f"{count} extracts at once, one killed", tries=1, torn=torn, repaired=int(same))
    assert torn == 0
    assert same


@pytest.mark.long
@pytest.mark.parametrize("tries", [10])
def test_workers_of_dask_killed_at_random_moments(
    tmp_path: Path, corpus: Path, encoder: Path, start: Start, tree: Tree, tally: Tally, tries: int
) -> None:
    """One of two workers, in each try; the extraction itself goes on (extraction/test_cluster.py kills one too)."""
    psutil = pytest.importorskip("psutil")
    settings = ExtractSettings(encoder=str(encoder), **SETTINGS)
    whole = begin_small(tmp_path / "whole.zarr")
    timed(start(extract, [corpus], whole, settings))
    rng = random.Random(3)

    def kill_one(after: float) -> None:
        while not (workers := [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]):
            time.sleep(0.05)
        time.sleep(after)
        rng.choice(workers).kill()

    for number in range(tries):
        path = begin_small(tmp_path / f"{number}.zarr")
        killer = threading.Thread(target=kill_one, args=(rng.uniform(0, 12),))
        killer.start()
        extract([corpus], path, dataclasses.replace(settings, workers=2))
        killer.join()
        torn, same = torn_cells(path), tree(path) == tree(whole)
        tally("a dask worker killed", tries=1, lost=0, torn=torn, repaired=int(same))
        assert torn == 0
        assert same
