"""Extraction by dask workers: the same store as without, even when one of them is killed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from svc.common.errors import UserError
from svc.stages.extraction import cluster as cluster_module
from svc.stages.extraction.cluster import Cluster, cluster, own_environment
from svc.stages.extraction.corpus_scan import cores
from svc.stages.extraction.extract import extract
from svc.stages.settings import ExtractSettings
from svc.store import open_store
from svc.store.schema import PackSize
from svc.store.verify import verify
from svc.store.writer import Writer

distributed = pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")

Tree = Callable[[Path], dict[str, str]]


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handful of packs from half a minute of singing."""
    monkeypatch.setattr(PackSize, "for_seconds", classmethod(lambda cls, seconds: cls(unit=256, mel=512)))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, corpus: Path, encoder: Path) -> Path:
    path = tmp_path_factory.mktemp("plain") / "s.zarr"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PackSize, "for_seconds", classmethod(lambda cls, seconds: cls(unit=256, mel=512)))
        extract([corpus], path, ExtractSettings(str(encoder), device="cpu"))
    assert len(open_store(path).packs) >= 6
    return path


def workers() -> Iterator[Any]:
    for child in psutil.Process().children():
        if "spawn_main" in " ".join(child.cmdline()):
            yield child


def test_workers_of_our_own_one_of_them_killed(
    tmp_path: Path, corpus: Path, encoder: Path, plain: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(os.environ)
    killed: list[int] = []
    accepted: list[tuple[str, int]] = []
    real = Writer.accept

    def accept(self: Writer, receipt: Any) -> None:
        real(self, receipt)
        accepted.append((receipt.column, receipt.pack))
        if not killed:  # in the middle of its next job
            victim = next(workers())
            victim.kill()
            killed.append(victim.pid)
            (tmp_path / "s.zarr" / "f0" / "c" / ".0.1.partial").write_bytes(b"half")  # it was writing at that moment

    monkeypatch.setattr(Writer, "accept", accept)
    report = extract([corpus], tmp_path / "s.zarr", ExtractSettings(str(encoder), device="cpu", workers=2))
    assert killed
    assert not report.refused
    assert len(accepted) == len(set(accepted)) == report.cells_computed  # each cell acknowledged once
    assert tree(tmp_path / "s.zarr") == tree(plain)
    assert verify(open_store(tmp_path / "s.zarr")) == []
    assert not list(workers())
    assert dict(os.environ) == before  # dask sets OMP_NUM_THREADS and more in the process that spawns workers


def test_somebody_else_s_scheduler(tmp_path: Path, corpus: Path, encoder: Path, plain: Path, tree: Tree) -> None:
    """Workers with a GPU are given the encoder's jobs, the others the signal's."""
    gpu = {"cls": distributed.Nanny, "options": {"nthreads": 1, "resources": {"GPU": 1}, "dashboard": False}}
    cpu = {"cls": distributed.Nanny, "options": {"nthreads": 1, "dashboard": False}}
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard": False}}
    with (
        own_environment(),
        distributed.SpecCluster(workers={"gpu": gpu, "cpu": cpu}, scheduler=scheduler) as theirs,
    ):
        address = theirs.scheduler_address
        extract([corpus], tmp_path / "s.zarr", ExtractSettings(str(encoder), device="cpu", scheduler=address))
        assert tree(tmp_path / "s.zarr") == tree(plain)
        recording = str(corpus / "alto" / "phrase_0.wav")
        with cluster(ExtractSettings(scheduler=address), str(plain), recording) as engine:
            assert engine._placement(encodes=True) == {"resources": {"GPU": 1}}
            others = engine._placement(encodes=False)["workers"]
            assert len(others) == 1
            assert others != [a for a, w in engine._workers().items() if w["resources"].get("GPU")]
        for unseen in ((str(plain), "/no/such/corpus"), ("/no/such/store.zarr", recording)):
            with (
                pytest.raises(UserError, match="does not see /no/such/"),
                cluster(ExtractSettings(scheduler=address), *unseen),
            ):
                pass


def test_a_scheduler_that_does_not_answer(tmp_path: Path, corpus: Path, encoder: Path) -> None:
    settings = ExtractSettings(str(encoder), device="cpu", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(UserError, match="no dask scheduler answers"):
        extract([corpus], tmp_path / "s.zarr", settings)


def test_a_window_of_jobs_is_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself dask would send everything to the workers at once."""

    class FakeClient:
        def __init__(self) -> None:
            self.sent = 0

        def scheduler_info(self, n_workers: int) -> dict[str, Any]:
            return {"workers": {"a": {"resources": {}}, "b": {"resources": {"GPU": 1.0}}}}

    engine = Cluster(cast(Any, FakeClient()))
    assert engine._room(encodes=True) == 1 + cluster_module.AHEAD
    assert engine._room(encodes=False) == 2 * (1 + cluster_module.AHEAD)


def test_one_worker_a_gpu_has_the_encoder_s_lane_and_all_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 workers on one card each loaded the encoder onto it, and each had one thread for the rest."""

    def worker_threads() -> int:
        from svc.stages.extraction import cluster as module

        return module._threads

    monkeypatch.setattr(cluster_module, "_gpus", lambda: 1)
    monkeypatch.setattr(cluster_module, "_check_sight", lambda *_: None)
    with cluster(ExtractSettings(workers=2), "", "") as engine:
        workers = engine._workers().values()
        assert sorted(worker["resources"].get("GPU", 0) for worker in workers) == [0, 2]
        assert {worker["nthreads"] for worker in workers} == {2}
        threads = engine.client.run(worker_threads)
        assert set(threads.values()) == {max(1, cores() // 2)}
