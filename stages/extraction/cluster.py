"""Extraction by dask: a cluster of processes on this machine, or a scheduler whose workers may be anywhere.

Workers must reach the corpus and the store under the same paths or URLs. Those started with `--resources "GPU=1"` get
the encoder's jobs; if there are none, every worker gets every job.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...common.errors import UserError
from ...store.folder import open_folder
from ...store.layout import Layout
from ..settings import ExtractSettings
from .corpus_scan import cores
from .engines import Progressed
from .job import Job, JobConfig, Outcome
from .running_job import compute
from .worker import WorkerContext

if TYPE_CHECKING:
    from distributed import Client

JOBS_AT_ONCE = 2  # in a worker of our own
AHEAD = 2  # jobs sent to a worker beyond the one that it computes, so that it never waits for the network


class Cluster:
    """The workers of a dask scheduler. If a worker dies, its job is given to another one."""

    def __init__(self, client: Client):
        self.client = client

    def run(self, jobs: Iterable[Job], on_progress: Progressed) -> Iterator[Outcome]:
        """Compute jobs on the dask scheduler's workers, as `Engine.run`."""
        from distributed import KilledWorker, as_completed

        lanes: dict[bool, deque[Job]] = defaultdict(deque)
        for job in jobs:
            lanes[job.needs_encoder].append(job)
        under_way: dict[Any, Job] = {}
        results = as_completed(loop=self.client.loop)

        def begin(encodes: bool) -> None:
            if lanes[encodes]:
                job = lanes[encodes].popleft()
                future = self.client.submit(_compute, job, pure=False, **self._placement(encodes))
                under_way[future] = job
                results.add(future)

        for encodes in list(lanes):
            for _ in range(self._room(encodes)):
                begin(encodes)
        for future in results:
            job = under_way.pop(future)
            try:
                outcome = future.result()
            except KilledWorker as error:
                raise UserError(
                    f"workers died on pack {job.pack.number} again and again, most often for want of memory; "
                    f"use fewer --workers and run again: what is done is kept"
                ) from error
            on_progress(job.seconds)
            begin(job.needs_encoder)
            yield outcome

    def _workers(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.client.scheduler_info(n_workers=-1)["workers"]
        return found

    def _placement(self, encodes: bool) -> dict[str, Any]:
        """Where dask may run a job."""
        workers = self._workers()
        with_gpu = [address for address, metadata in workers.items() if metadata["resources"].get("GPU")]
        if encodes and with_gpu:
            return {"resources": {"GPU": 1}}
        others = [address for address in workers if address not in with_gpu]
        return {"workers": others, "allow_other_workers": True} if with_gpu and others else {}

    def _room(self, encodes: bool) -> int:
        """How many jobs are sent at once: dask would send all of them, and lose many if a worker dies."""
        workers = self._workers()
        with_gpu = sum(1 for metadata in workers.values() if metadata["resources"].get("GPU"))
        return (1 + AHEAD) * max(1, with_gpu if encodes and with_gpu else len(workers))


@contextmanager
def cluster(settings: ExtractSettings, store: str, recording: str) -> Iterator[Cluster]:
    """A cluster of `--workers` processes, or the one at `--scheduler`, whose workers see the store and the recording.

    Raises:
        UserError: the scheduler cannot be reached, has no workers, or one of them does not see the store or the corpus.
    """
    from distributed import Client, LocalCluster

    if settings.scheduler:
        try:
            client = Client(settings.scheduler, timeout="15s", set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"no dask scheduler answers at {settings.scheduler} ({error}); start one with `dask scheduler` and "
                f"workers with `dask worker`, and give its address, such as tcp://host:8786"
            ) from error
        with client:
            if not client.scheduler_info(n_workers=-1)["workers"]:
                raise UserError(f"the scheduler at {settings.scheduler} has no workers; start one with `dask worker`")
            _check_sight(client, store, recording)
            yield Cluster(client)
    else:
        # Memory is bounded by the packs; dask's own limit would kill a worker while it loads the encoder.
        with (
            own_environment(),
            LocalCluster(
                n_workers=settings.workers,
                threads_per_worker=JOBS_AT_ONCE,
                memory_limit=0,
                dashboard_address=None,
                silence_logs=50,
            ) as local,
            Client(local, set_as_default=False) as client,
        ):
            client.run(_share_machine, settings.workers)
            _deal_out_gpus(client)
            yield Cluster(client)


@contextmanager
def own_environment() -> Iterator[None]:
    """Restore the environment of this process, in which dask sets variables for its workers, such as one thread."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _check_sight(client: Client, store: str, recording: str) -> None:
    for sees, what in ((_sees_store, store), (_sees_recording, recording)):
        not_seeing = [address for address, found in client.run(sees, what).items() if not found]
        if not_seeing:
            raise UserError(
                f"the worker {not_seeing[0]} does not see {what}; "
                "workers need the corpus and the store under the same paths"
            )


def _sees_store(location: str) -> bool:
    return open_folder(location).size(Layout.description) is not None


def _sees_recording(path: str) -> bool:
    return Path(path).exists()


def _deal_out_gpus(client: Client) -> None:
    """One worker a GPU computes the encoder's jobs: more would each load the encoder onto the same card."""
    workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
    counts = client.run(_gpus, workers=workers[:1])
    for address in workers[: next(iter(counts.values()), 0)]:
        client.run(_offer_gpu, workers=[address])


def _gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


async def _offer_gpu(dask_worker: Any) -> None:
    await dask_worker.set_resources(GPU=JOBS_AT_ONCE)


_contexts: dict[JobConfig, WorkerContext] = {}  # of this worker process; the encoder is loaded once, by the first job
_context_lock = threading.Lock()
_threads = 0  # of this worker process; 0: one for each core


def _share_machine(workers: int) -> None:
    """Give this worker its share of the machine's cores."""
    global _threads
    _threads = max(1, cores() // workers)


def _compute(job: Job) -> Outcome:
    """A job, in a worker process. Two run at once: one is decoded and analysed while the other is encoded."""
    with _context_lock:
        if job.config not in _contexts:
            torch.set_num_threads(1)
            for context in _contexts.values():
                context.close()
            _contexts.clear()
            device = job.config.device
            config = replace(job.config, device=_own_device() if device == "auto" else device)
            _contexts[job.config] = WorkerContext(config, _threads or _dask_threads(), signal_on_cpu=not _has_gpu())
        context = _contexts[job.config]
    return compute(job, context)


def _has_gpu() -> bool:
    """Whether this worker has the resource GPU. Without it, mel and f0 must not open a CUDA context on a card."""
    from distributed import get_worker

    return bool(get_worker().state.total_resources.get("GPU"))


def _dask_threads() -> int:
    """The threads that `dask worker --nthreads` gave to this worker."""
    from distributed import get_worker

    return int(get_worker().state.nthreads)


def _own_device() -> str:
    """The workers of a machine use its GPUs in turn."""
    from distributed import get_worker

    if not torch.cuda.is_available():
        return "cpu"
    name = get_worker().name
    return f"cuda:{(name if isinstance(name, int) else os.getpid()) % torch.cuda.device_count()}"
