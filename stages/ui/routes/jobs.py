"""Jobs and events, results, settings."""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from .... import __version__
from ...settings import PRESETS
from ..encoders import encoder_names
from ..errors import ApiError
from ..schemas import Event, EventKind, Health, Job, JobState, Result, Session, SettingsBody
from ..security import COOKIE, same_token
from .context import AUDIO, ERRORS, PREFIX, TheService, send

router = APIRouter(prefix=PREFIX, responses=ERRORS)
SSE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/Event"}}}}
}
LARGEST_SETTING = 64 * 1024


@router.get("/health", tags=["server"])
def health(service: TheService) -> Health:
    """The server's version, limits, and features."""
    limits = service.settings
    return Health(
        version=__version__,
        token_needed=limits.token is not None,
        host=os.uname().nodename if hasattr(os, "uname") else "",
        encoders=encoder_names(service.home),
        presets={name: PRESETS[name].steps for name in ("tiny", "base", "large")},
        limits={"upload_bytes": limits.upload_bytes, "song_seconds": limits.song_seconds, "jobs": limits.jobs},
    )


@router.post("/session", status_code=204, tags=["server"])
def open_session(asked: Session, request: Request, response: Response, service: TheService) -> None:
    """Exchange the token for a cookie, so that a page need not keep it."""
    token = service.settings.token
    if token is None or not same_token(asked.token, token):
        raise ApiError(401, "wrong_token", "this is not the token that svc ui printed")
    response.set_cookie(
        COOKIE, token, max_age=30 * 86_400, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )


@router.get("/settings", tags=["server"])
def get_settings(service: TheService) -> SettingsBody:
    """The settings that the page keeps over reloads and restarts."""
    return SettingsBody(values=service.database.settings())


@router.put("/settings", tags=["server"])
def put_settings(asked: SettingsBody, service: TheService) -> SettingsBody:
    """Change some of it."""
    if len(asked.model_dump_json()) > LARGEST_SETTING or any(len(name) > 100 for name in asked.values):
        raise ApiError(413, "too_large", "settings are short")
    if len(service.database.settings() | asked.values) > 500:
        raise ApiError(409, "too_many_settings", "up to 500 settings are kept")
    service.database.set(asked.values)
    return SettingsBody(values=service.database.settings())


@router.get("/jobs", tags=["jobs"])
def list_jobs(service: TheService, subject: str | None = None) -> list[Job]:
    """Newest first; of one voice or song if `subject` says so."""
    return service.jobs.all(subject)


@router.get("/jobs/{job}", tags=["jobs"])
def get_job(job: str, service: TheService) -> Job:
    """A job and how far it is."""
    return service.jobs.get(job)


@router.post("/jobs/{job}/cancel", tags=["jobs"])
def cancel_job(job: str, service: TheService) -> Job:
    """Stop a job. What it has made so far stays; a training can go on from there."""
    return service.jobs.cancel(job)


@router.post("/jobs/{job}/retry", tags=["jobs"])
def retry_job(job: str, service: TheService) -> Job:
    """Queue a failed or cancelled job again; what is done of it is not done twice."""
    return service.jobs.retry(job)


@router.get("/jobs/{job}/events", response_class=StreamingResponse, responses=SSE, tags=["jobs"])
async def job_events(job: str, service: TheService) -> StreamingResponse:
    """Server-sent events: the job as it is, then every change of it."""
    now = service.jobs.get(job)
    first = [Event(kind=EventKind.job, subject=now.subject, data=now.model_dump(mode="json"))]
    return _stream(await service.broadcaster.stream(job, first))


@router.get("/events", response_class=StreamingResponse, responses=SSE, tags=["jobs"])
async def events(service: TheService, subject: str | None = None) -> StreamingResponse:
    """Server-sent events: active jobs, then all changes (of one voice or song)."""
    active = [job for job in service.jobs.all(subject) if job.state in (JobState.queued, JobState.running)]
    first = [Event(kind=EventKind.job, subject=job.subject, data=job.model_dump(mode="json")) for job in active]
    return _stream(await service.broadcaster.stream(subject, first))


def _stream(messages: Any) -> StreamingResponse:
    return StreamingResponse(messages, media_type="text/event-stream", headers={"cache-control": "no-store"})


@router.get("/results", tags=["results"])
def list_results(service: TheService, song: str | None = None) -> list[Result]:
    """Newest first."""
    return service.results.all(song)


@router.get("/results/{result}", tags=["results"])
def get_result(result: str, service: TheService) -> Result:
    """An exported file's record."""
    return service.results.get(result)


@router.get("/results/{result}/file", response_class=FileResponse, responses=AUDIO, tags=["results"])
def result_file(result: str, service: TheService, save: bool = False) -> FileResponse:
    """Its file, with Range requests; `save`: to be saved under its name."""
    found = service.results.get(result)
    return send(service.home.results / found.file, found.media, found.label if save else None, cached=True)


@router.delete("/results/{result}", status_code=204, tags=["results"])
def delete_result(result: str, service: TheService) -> None:
    """Delete an exported file."""
    service.results.delete(result)
