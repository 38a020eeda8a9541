"""The threads that jobs run on."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
import torch
from svc.pipeline.pitch.settings import PitchSettings
from svc.stages.extraction.extract import extract
from svc.stages.extraction.job import JobConfig
from svc.stages.extraction.worker import WorkerContext
from svc.stages.settings import ExtractSettings
from svc.store import open_store
from svc.store.schema import PackSize


@pytest.mark.skipif(sys.platform != "linux", reason="asks the OpenMP library that torch brings on Linux")
def test_every_operation_of_a_bench_keeps_to_one_core_from_the_first(tmp_path: Path) -> None:
    """A matrix product split over cores differs in its last digits, and so would a store made twice."""
    maps = Path("/proc/self/maps").read_text().split()  # others, such as scikit-learn, bring an OpenMP of their own
    openmp = ctypes.CDLL(next(name for name in maps if "/torch/lib/" in name and ("gomp" in name or "iomp" in name)))
    before = torch.get_num_threads()
    context = WorkerContext(
        JobConfig(str(tmp_path / "s.zarr"), PackSize.for_seconds(1), PitchSettings(), "", "fp32", "cpu"), 4
    )
    try:
        torch.set_num_threads(2)
        for pool in (context.signal, context.decode, context.encode, context.writing):
            assert pool.submit(openmp.omp_get_max_threads).result() == 1
    finally:
        context.close()
        torch.set_num_threads(before)


class AtOnce(Executor):
    """Runs what is submitted before `submit` returns: a thread that is faster than the one that submits."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done


def test_work_that_is_done_before_a_job_is_set_up(
    tmp_path: Path, corpus: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the job still iterated over its results while they were removed: "dictionary changed size"."""
    original = WorkerContext.__init__

    def at_once(self: WorkerContext, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        WorkerContext.close(self)
        self.signal = self.decode = self.encode = self.writing = AtOnce()  # type: ignore[assignment]

    monkeypatch.setattr(WorkerContext, "__init__", at_once)
    report = extract([corpus / "alto"], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder)))
    assert not report.refused
    assert not any(clip.missing() for clip in open_store(tmp_path / "s.zarr"))
