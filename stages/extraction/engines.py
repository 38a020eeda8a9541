"""Engines compute jobs: in threads of this process, or (in `cluster.py`) in processes of dask.

An engine takes jobs and yields their outcomes as they end. It never writes the store's records: the one writer does,
from the receipts that come back.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import Protocol

import torch

from .job import Job, Outcome
from .running_job import RunningJob
from .worker import WorkerContext

AHEAD = 2  # jobs of a kind in progress at once: one computes while the one before is being written

Progressed = Callable[[float], None]  # called with the seconds of audio that are done


class Engine(Protocol):
    """Computes jobs, in any order."""

    def run(self, jobs: Iterable[Job], on_progress: Progressed) -> Iterator[Outcome]:
        """Compute jobs; outcomes come as they are done, in any order. `tell` gets seconds of sound."""


class InProcess:
    """Threads of this process: decoding, f0, the encoder and writing, all at once."""

    def __init__(self, context: WorkerContext):
        self.context = context

    def run(self, jobs: Iterable[Job], on_progress: Progressed) -> Iterator[Outcome]:
        """Compute jobs in this process's threads; outcomes come as they are done."""
        done_seconds: queue.SimpleQueue[float] = queue.SimpleQueue()
        under_way: dict[Future[Outcome], deque[Job]] = {}

        def begin(lane: deque[Job]) -> None:
            if lane:
                under_way[RunningJob(lane.popleft(), self.context, done_seconds.put).outcome] = lane

        # The encoder's jobs and the signal's have separate queues, so that neither delays the other.
        jobs = list(jobs)
        lanes = [deque(job for job in jobs if job.needs_encoder is encodes) for encodes in (True, False)]
        for _ in range(AHEAD):
            for lane in lanes:
                begin(lane)
        while under_way:
            done, _ = wait(under_way, timeout=0.2, return_when=FIRST_COMPLETED)
            while not done_seconds.empty():
                on_progress(done_seconds.get())
            for future in done:
                begin(under_way.pop(future))
                yield future.result()


@contextmanager
def in_process(context: WorkerContext) -> Iterator[InProcess]:
    """This process as an engine, for as long as the context lasts."""
    try:
        with one_thread_an_operation():
            yield InProcess(context)
    finally:
        context.close()


@contextmanager
def one_thread_an_operation() -> Iterator[None]:
    """One torch thread for each operation: every core has its own work, so splitting operations would only slow it
    down.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
