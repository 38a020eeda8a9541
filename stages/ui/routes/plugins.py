"""Routes that return the converted sound itself: our own, and the one for so-vits-svc's plug-ins."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from ..errors import ApiError
from ..home import new_id
from ..schemas import JobKind, JobState, VoiceState
from ..uploads import check_room, checked_suffix, display_name, write_stream
from .context import ERRORS, TheService

router = APIRouter(tags=["plug-ins"], responses=ERRORS)
WAV = {200: {"content": {"audio/wav": {}}, "description": "The converted sound."}}
BLOCK = 1 << 20
SECONDS = 3_600.0  # that a call waits


async def _convert(upload: UploadFile, voice: str, settings: dict[str, Any], service: TheService) -> FileResponse:
    check_room(service.home, service.settings)
    folder = service.home.state / "single"
    suffix = checked_suffix(display_name(upload.filename or "sound.wav"))

    async def blocks() -> AsyncIterator[bytes]:
        while block := await upload.read(BLOCK):
            yield block

    path = await write_stream(blocks(), folder, suffix, service.home, service.settings)
    out = folder / f"{new_id()}.wav"
    try:
        params = {"file": path.name, "result": out.stem, "voice": voice, "settings": settings}
        job = await run_in_threadpool(service.jobs.add, JobKind.single, voice, params)
        try:
            job = await run_in_threadpool(service.jobs.wait, job.id, SECONDS)
        except asyncio.CancelledError:
            service.jobs.cancel(job.id)
            raise
        if job.state != JobState.done:
            error = job.error
            raise ApiError(422, error.code if error else "not_converted", error.message if error else "it was not done")
    finally:
        path.unlink(missing_ok=True)
    return FileResponse(out, media_type="audio/wav", background=BackgroundTask(_clear, out))


def _clear(out: Path) -> None:
    for path in (out, out.with_suffix(".json"), out.with_suffix(".png")):
        path.unlink(missing_ok=True)


def _voice_named(name: str | None, service: TheService) -> str:
    """The id of a trained voice, by its id or name; the newest where none is named."""
    ready = [voice for voice in service.voices.all() if voice.state in (VoiceState.ready, VoiceState.training)]
    chosen = [voice for voice in ready if name in (None, "", voice.id, voice.name)]
    if not chosen:
        raise ApiError(404, "not_found", "there is no trained voice of that name")
    return max(chosen, key=lambda voice: voice.created).id


@router.post("/v1/audio/voice-conversions", response_class=FileResponse, responses=WAV)  # type: ignore[arg-type]
async def voice_conversion(
    service: TheService,
    audio: Annotated[UploadFile, File(description="Any audio file.")],
    voice: Annotated[str | None, Form(description="A voice by id or name; the newest if left out.")] = None,
    speaker: Annotated[str | None, Form(max_length=500)] = None,
    key: Annotated[str, Form(description="Semitones, or auto.")] = "0",
    seed: Annotated[int, Form(ge=0, le=2**31 - 1)] = 0,
    formants: Annotated[float, Form(ge=-12, le=12)] = 0.0,
    retrieve: Annotated[float | None, Form(ge=0, le=1)] = None,
    loudness: Annotated[float, Form(ge=0, le=1)] = 0.0,
    breaths: Annotated[str, Form(description="keep, sing, or a number from 0 to 1.")] = "sing",
) -> FileResponse:
    """Convert a recording; the answer is a WAV file."""
    settings: dict[str, Any] = {
        "speaker": speaker or None,
        "key": key if key == "auto" else _number(key),
        "seed": seed,
        "formants": formants,
        "retrieve": retrieve,
        "loudness": loudness,
        "breaths": breaths if breaths in ("keep", "sing") else _share(breaths),
    }
    return await _convert(audio, _voice_named(voice, service), settings, service)


@router.post("/voiceChangeModel", response_class=FileResponse, responses=WAV)  # type: ignore[arg-type]
async def voice_change_model(
    service: TheService,
    sample: Annotated[UploadFile, File()],
    pitch: Annotated[str, Form(alias="fPitchChange")] = "0",
    rate: Annotated[str, Form(alias="sampleRate")] = "44100",
    speaker_number: Annotated[str, Form(alias="sSpeakId")] = "0",
) -> FileResponse:
    """The request of VST plug-ins of so-vits-svc and DDSP-SVC: key in semitones, sample rate, number of the speaker."""
    voice = _voice_named(None, service)
    speakers = service.voices.get(voice).speakers
    number = int(_number(speaker_number))
    if not 0 <= number < len(speakers):
        raise ApiError(404, "not_found", f"there are speakers 0 to {len(speakers) - 1}")
    settings = {"speaker": speakers[number].name, "key": _number(pitch), "rate": int(_number(rate))}
    return await _convert(sample, voice, settings, service)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ApiError(422, "invalid_request", f"expected a number, found {text[:40]!r}")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise ApiError(422, "invalid_request", f"breaths are keep, sing or a number from 0 to 1, not {text[:40]!r}")
    return value
