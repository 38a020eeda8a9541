"""The queue of jobs: stored in the database, carried out by worker processes, each with one job at a time."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from .database import Database
from .errors import FULL_TEXT, ApiError, body, is_full, not_found
from .events import Broadcaster
from .home import new_id
from .lane import LANES, Lane
from .schemas import ErrorBody, Event, EventKind, Job, JobKind, JobProgress, JobState
from .settings import ServerSettings

ATTEMPTS = 2  # attempts of a job whose worker died
LOG_LINES = 40
KEPT = 200  # finished jobs that are kept
Params = Callable[[Job], dict[str, Any]]
Item = Callable[[Job, dict[str, Any]], None]


class JobQueue:
    """Jobs, and the threads that hand them to workers.

    Args:
        params: a job's ids -> the worker's parameters, including paths.
        item: called with an intermediate result of a worker (a take, a song's analysis).
        follow: called on a job's progress and end, before that is published.
    """

    def __init__(
        self,
        database: Database,
        broadcaster: Broadcaster,
        settings: ServerSettings,
        params: Params,
        item: Item,
        follow: Callable[[Job], None],
    ):
        self.database, self.broadcaster, self.settings = database, broadcaster, settings
        self.params, self.item, self.follow = params, item, follow
        self._wake, self._stopping = threading.Condition(), False
        self._jobs = {job.id: job for job in database.all("job", Job)}
        self._cancelled: dict[str, float] = {}
        for job in self._jobs.values():
            if job.state == JobState.running:  # the server ended while it ran: it is resumed
                job.state = JobState.queued
                self._save(job)
        self.lanes = [Lane(name, self) for name in LANES]

    def start(self) -> None:
        """Start the lanes' threads."""
        for lane in self.lanes:
            lane.start()

    def stop(self) -> None:
        """End the workers. Jobs that run are queued again when the server starts."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for lane in self.lanes:
            lane.join()

    def add(self, kind: JobKind, subject: str, params: dict[str, Any]) -> Job:
        """Raises ApiError when too many jobs wait."""
        with self._wake:
            if (
                sum(job.state in (JobState.queued, JobState.running) for job in self._jobs.values())
                >= self.settings.jobs
            ):
                raise ApiError(429, "too_many_jobs", f"{self.settings.jobs} jobs wait already; try again later")
            job = Job(id=new_id(), kind=kind, subject=subject, params=params, created=time.time())
            self._save(job)
            self._jobs[job.id] = job
            self._forget()
            self._wake.notify_all()
        self._publish(job)
        return job

    def get(self, id: str) -> Job:
        """A copy of a job. Raises ApiError 404 if there is none."""
        with self._wake:
            if id not in self._jobs:
                raise not_found("job")
            return self._jobs[id].model_copy(deep=True)

    def all(self, subject: str | None = None) -> list[Job]:
        """Newest first."""
        with self._wake:
            found = [job.model_copy(deep=True) for job in self._jobs.values() if subject in (None, job.subject)]
        return sorted(found, key=lambda job: -job.created)

    def active(self, subject: str) -> Job | None:
        """The job that waits or runs for a voice or song."""
        active = (JobState.queued, JobState.running)
        return next((j for j in self.all(subject) if j.state in active and j.kind != JobKind.sample), None)

    def cancel(self, id: str) -> Job:
        """Cancel a job: a queued one at once, a running one as soon as it can stop."""
        with self._wake:
            job = self._jobs.get(id)
            if job is None:
                raise not_found("job")
            if job.state == JobState.queued:
                self._finish(job, JobState.cancelled)
            elif job.state == JobState.running:
                self._cancelled.setdefault(id, time.monotonic())
        return self.get(id)

    def cancel_of(self, subject: str) -> None:
        """Cancel all jobs of a voice or song that is deleted."""
        for job in self.all(subject):
            self.cancel(job.id)

    def retry(self, id: str) -> Job:
        """Queue a failed or cancelled job again; finished parts are not computed again."""
        with self._wake:
            job = self._jobs.get(id)
            if job is None:
                raise not_found("job")
            if job.state not in (JobState.failed, JobState.cancelled):
                raise ApiError(409, "not_retryable", f"the job is {job.state}")
            anew = {"state": JobState.queued, "error": None, "attempts": 0, "progress": JobProgress(), "ended": None}
            job = job.model_copy(update=anew)
            self._save(job)
            self._jobs[id] = job
            self._wake.notify_all()
        self._publish(job)
        return self.get(id)

    def wait(self, id: str, seconds: float) -> Job:
        """The job once it has ended, or its state after a time limit."""
        until = time.monotonic() + seconds
        with self._wake:
            while id in self._jobs and self._jobs[id].state in (JobState.queued, JobState.running):
                if not self._wake.wait(max(0.0, until - time.monotonic())) and time.monotonic() >= until:
                    break
        return self.get(id)

    # The following methods are for the lanes.

    def claim(self, kinds: tuple[JobKind, ...]) -> Job | None:
        """The next job of a lane, in order of urgency and age; None when the server stops. Waits for one."""
        with self._wake:
            while not self._stopping:
                waiting = [j for j in self._jobs.values() if j.state == JobState.queued and j.kind in kinds]
                if waiting:
                    job = min(waiting, key=lambda j: (kinds.index(j.kind), not j.params.get("phrases"), j.created))
                    job.state, job.started, job.attempts = JobState.running, time.time(), job.attempts + 1
                    self._save_if_there_is_room(job)
                    self._publish(job)
                    return job
                self._wake.wait()
        return None

    @property
    def stopping(self) -> bool:
        """Whether the server is being stopped."""
        return self._stopping

    def cancel_asked(self, job: Job) -> float | None:
        """Seconds since the cancellation of a job."""
        asked = self._cancelled.get(job.id)
        return None if asked is None else time.monotonic() - asked

    def progressed(self, job: Job, message: dict[str, Any]) -> None:
        """Take a message of a running job: progress, or a line of its log."""
        with self._wake:
            if message["event"] == "progress":
                job.progress = JobProgress(**message["progress"])
            else:
                job.log = [*job.log, str(message["text"])[:2_000]][-LOG_LINES:]
            self.follow(job)
        self._publish(job)

    def died(self, job: Job, why: str, code: str = "worker_died") -> None:
        """A job's worker has died: the job is tried again, or fails."""
        with self._wake:
            if job.id in self._cancelled:
                self._finish(job, JobState.cancelled)
            elif self._stopping:
                pass  # it stays `running` in the database, and is resumed at the next start
            elif job.attempts < ATTEMPTS and code == "worker_died":
                job.state = JobState.queued
                self._save_if_there_is_room(job)
                self._publish(job)
            else:
                self._finish(job, JobState.failed, error=ErrorBody(**body(code, why)))

    def finished(self, job: Job, message: dict[str, Any]) -> None:
        """Take the last message of a job: done, cancelled or failed."""
        with self._wake:
            if message["event"] == "done":
                self._finish(job, JobState.done, result=message["result"])
            elif message["event"] == "cancelled":
                self._finish(job, JobState.cancelled)
            else:
                self._finish(job, JobState.failed, error=ErrorBody(**message["error"]))

    def _finish(
        self, job: Job, state: JobState, result: dict[str, Any] | None = None, error: ErrorBody | None = None
    ) -> None:
        job.state, job.result, job.error, job.ended = state, result, error, time.time()
        self._cancelled.pop(job.id, None)
        try:
            with contextlib.suppress(ApiError):  # the job's subject was deleted
                self.follow(job)
            self._save(job)
        except (OSError, sqlite3.Error) as error:  # a full disk: the job can be tried again, and is after a restart
            job.state, job.result = JobState.failed, None
            job.error = ErrorBody(**body("disk_full", FULL_TEXT) if is_full(error) else body("fault", str(error)))
        self._wake.notify_all()
        self._publish(job)

    def _save(self, job: Job) -> None:
        self.database.put("job", job.id, job, job.subject)

    def _save_if_there_is_room(self, job: Job) -> None:
        """Save a change that may be lost with the server, which would only repeat the job.

        A full disk does not end a lane.
        """
        with contextlib.suppress(OSError, sqlite3.Error):
            self._save(job)

    def _publish(self, job: Job) -> None:
        self.broadcaster.publish(Event(kind=EventKind.job, subject=job.subject, data=job.model_dump(mode="json")))

    def _forget(self) -> None:
        over = sorted(
            (job for job in self._jobs.values() if job.state not in (JobState.queued, JobState.running)),
            key=lambda job: job.created,
        )
        for job in over[:-KEPT]:
            del self._jobs[job.id]
            self.database.delete("job", job.id)
