"""The threads that jobs run on."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest
import torch
from svc.pipeline.pitch.settings import PitchSettings
from svc.stages.extraction.job import JobConfig
from svc.stages.extraction.worker import WorkerContext
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
