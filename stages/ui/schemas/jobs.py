"""Jobs of workers, and their progress."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from .base import ErrorBody


class JobState(StrEnum):
    """How far a job is."""

    queued = "queued"
    running = "running"
    done = "done"
    failed = "failed"
    cancelled = "cancelled"


class JobKind(StrEnum):
    """The kind of a job."""

    analyse = "analyse"
    convert = "convert"
    export = "export"
    render = "render"
    single = "single"
    prepare = "prepare"
    train = "train"
    sample = "sample"


class JobProgress(BaseModel):
    """How far a job is."""

    stage: str = ""
    done: float = 0.0
    total: float = 0.0
    unit: str = ""
    note: str = ""
    seconds_left: float | None = None


class Job(BaseModel):
    """A job of a worker. `subject` is the id of its voice or song."""

    id: str
    kind: JobKind
    subject: str
    state: JobState = JobState.queued
    params: dict[str, Any] = {}
    progress: JobProgress = JobProgress()
    log: list[str] = []
    result: dict[str, Any] | None = None
    error: ErrorBody | None = None
    attempts: int = 0
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
