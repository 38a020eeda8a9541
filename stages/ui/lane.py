"""A lane: one worker process, and the server's thread that gives it jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from .errors import FULL_TEXT, ApiError, body, is_full
from .process import WorkerProcess
from .schemas import Job, JobKind
from .settings import ServerSettings

CANCEL_SECONDS = 15.0  # a worker that has not stopped by then is ended
# The kinds of jobs of each worker, in order of urgency; short jobs never wait for a training.
LANES: dict[str, tuple[JobKind, ...]] = {
    "songs": (JobKind.analyse, JobKind.single, JobKind.convert, JobKind.export, JobKind.render, JobKind.sample),
    "voices": (JobKind.prepare, JobKind.train),
}


class JobSource(Protocol):
    """The source of a lane's jobs, which also receives their progress: see JobQueue."""

    settings: ServerSettings
    params: Callable[[Job], dict[str, Any]]
    item: Callable[[Job, dict[str, Any]], None]

    @property
    def stopping(self) -> bool:
        """Whether the server is being stopped."""

    def claim(self, kinds: tuple[JobKind, ...]) -> Job | None:
        """The next job of these kinds; None when the server stops. Waits for one."""

    def cancel_asked(self, job: Job) -> float | None:
        """For how many seconds a cancellation has been waited for."""

    def progressed(self, job: Job, message: dict[str, Any]) -> None:
        """Take a message of a running job."""

    def died(self, job: Job, why: str, code: str = "worker_died") -> None:
        """A job's worker has died."""

    def finished(self, job: Job, message: dict[str, Any]) -> None:
        """Take the last message of a job."""


class Lane(threading.Thread):
    """Gives one job after another to one worker process, which it starts if there is none.

    Args:
        name: a key of LANES.
        jobs: their source, which also receives their progress.
    """

    def __init__(self, name: str, jobs: JobSource):
        super().__init__(name=f"lane {name}", daemon=True)
        self.kinds, self.jobs, self.worker = LANES[name], jobs, None
        self.nice = 5 if name == "voices" else 0

    worker: WorkerProcess | None

    def run(self) -> None:
        """Work until the server stops."""
        if JobKind.convert in self.kinds and self.jobs.settings.warm:
            self._ready_worker()  # it loads its libraries while the user looks at the page
        while (job := self.jobs.claim(self.kinds)) is not None:
            try:
                self._work(job)
            except Exception as error:  # an error of one job, such as a full disk, ends only that job
                self._lose()
                full, text = is_full(error), f"the job could not be carried out: {error}"
                self.jobs.died(job, FULL_TEXT if full else text, "disk_full" if full else "fault")
        if self.worker is not None:
            self.worker.end(3.0)

    def _ready_worker(self) -> WorkerProcess:
        if self.worker is None or not self.worker.alive:
            self.worker = WorkerProcess(self.name, self.nice)
        return self.worker

    def _lose(self) -> None:
        if self.worker is not None:
            self.worker.kill()
        self.worker = None

    def _work(self, job: Job) -> None:
        try:
            params = self.jobs.params(job)
        except ApiError as error:
            self.jobs.finished(job, {"event": "error", "error": body(error.code, error.message, error.detail)})
            return
        worker = self._ready_worker()
        told = False
        try:
            worker.send({"job": job.id, "kind": job.kind, "params": params})
            while True:
                message = worker.receive(0.25)
                asked = self.jobs.cancel_asked(job)
                if self.jobs.stopping:
                    self._lose()
                    return
                if asked is not None and not told:
                    worker.send({"cancel": job.id})
                    told = True
                if asked is not None and asked > CANCEL_SECONDS:
                    raise EOFError
                if worker.resident_bytes() > self.jobs.settings.worker_bytes:
                    self._lose()
                    self.jobs.died(job, "the job needed more memory than it may have", "memory")
                    return
                if message is None or message.get("job") != job.id:
                    continue
                if message["event"] in ("progress", "say"):
                    self.jobs.progressed(job, message)
                elif message["event"] == "item":
                    self.jobs.item(job, message["item"])
                else:
                    self.jobs.finished(job, message)
                    return
        except (EOFError, OSError):
            self._lose()
            self.jobs.died(job, "the process that worked on it ended unexpectedly, twice")
