"""Voices: recordings, their report, training."""

from __future__ import annotations

import re
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from .. import stores
from ..encoders import encoder_names
from ..errors import ApiError, not_found
from ..home import slug_of
from ..media import BINARY, MEDIA
from ..schemas import Job, NewVoice, Recording, RecordingChange, StoreInfo, TrainRequest, Voice, VoiceChange
from ..uploads import checked_suffix, display_name, receive
from .context import AUDIO, ERRORS, PREFIX, TheService, send

router = APIRouter(prefix=PREFIX, tags=["voices"], responses=ERRORS)

EXAMPLE = re.compile(r"(recorded|step-\d{7})\.flac")


@router.get("/voices")
def list_voices(service: TheService) -> list[Voice]:
    """Voices that were made here, and runs found in the home folder."""
    return service.voices.all()


def check_encoder(service: TheService, name: str) -> None:
    """Raises ApiError for a name that is not offered."""
    if name not in (offered := encoder_names(service.home)):
        raise ApiError(422, "unknown_encoder", f"expected an encoder of {', '.join(offered)}; found {name[:60]!r}")


@router.post("/voices", status_code=201)
def create_voice(asked: NewVoice, service: TheService) -> Voice:
    """A new voice, without recordings yet."""
    check_encoder(service, asked.encoder)
    return service.voices.new(asked.name, asked.consent, asked.encoder)


@router.get("/voices/{voice}")
def get_voice(voice: str, service: TheService) -> Voice:
    """A voice, and how far it is."""
    return service.voices.get(voice)


@router.patch("/voices/{voice}")
def change_voice(voice: str, asked: VoiceChange, service: TheService) -> Voice:
    """Its name, its maker's note of consent, and, before it is prepared, its encoder."""
    record = service.voices.record(voice)
    changes = asked.model_dump(exclude_none=True)
    if "encoder" in changes:
        check_encoder(service, changes["encoder"])
        if service.home.store(record.id, record.slug).exists():
            raise ApiError(409, "prepared", "the recordings were prepared with another encoder already")
    service.voices.change(record.model_copy(update=changes))
    return service.voices.get(voice)


@router.delete("/voices/{voice}", status_code=204)
def delete_voice(voice: str, service: TheService) -> None:
    """Remove it with its recordings, store and run; only voices that were made here."""
    service.voices.delete(voice)


@router.get("/voices/{voice}/recordings")
def list_recordings(voice: str, service: TheService) -> list[Recording]:
    """A voice's recordings."""
    return service.recordings.all(voice)


@router.post(
    "/voices/{voice}/recordings",
    status_code=201,
    openapi_extra={
        "requestBody": {"required": True, "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def add_recording(voice: str, name: str, request: Request, service: TheService) -> Recording:
    """Upload one recording: the file is the body, its name a query parameter."""
    record = service.voices.record(voice)
    if service.database.count("recording", voice) >= service.settings.recordings:
        raise ApiError(409, "too_many_recordings", f"a voice has up to {service.settings.recordings} recordings")
    shown = display_name(name)
    folder = service.home.corpus(voice, slug_of(record.slug))
    path = await receive(request, folder, checked_suffix(shown), service.home, service.settings)
    made = Recording(
        id=path.stem, voice=voice, name=shown, file=path.name, bytes=path.stat().st_size, created=time.time()
    )
    service.recordings.add(made)
    return made


@router.patch("/voices/{voice}/recordings/{recording}")
def change_recording(voice: str, recording: str, asked: RecordingChange, service: TheService) -> Recording:
    """Leave a recording out, or take it in again. The store follows when the voice is prepared the next time."""
    return service.recordings.leave_out(service.recordings.get(voice, recording), asked.left_out)


@router.delete("/voices/{voice}/recordings/{recording}", status_code=204)
def delete_recording(voice: str, recording: str, service: TheService) -> None:
    """Delete a recording."""
    service.recordings.delete(service.recordings.get(voice, recording))


@router.get("/voices/{voice}/recordings/{recording}/audio", response_class=FileResponse, responses=AUDIO)
def recording_audio(voice: str, recording: str, service: TheService) -> FileResponse:
    """A recording's file, as it was uploaded."""
    path = service.recordings.path(service.recordings.get(voice, recording))
    return send(path, MEDIA.get(path.suffix, BINARY))


@router.post("/voices/{voice}/prepare", status_code=202)
def prepare_voice(voice: str, service: TheService) -> Job:
    """Extract the recordings into a store, and report on the corpus."""
    return service.voices.prepare(voice)


@router.get("/voices/{voice}/report")
def voice_report(voice: str, service: TheService) -> dict[str, Any]:
    """`corpus`: as `svc inspect STORE --report --json` says; `recordings`: seconds by file name."""
    service.voices.record(voice)
    report = service.voices.report(voice)
    if report is None:
        raise not_found("report yet")
    return report


@router.post("/voices/{voice}/train", status_code=202)
def train_voice(voice: str, asked: TrainRequest, service: TheService) -> Job:
    """Train the voice, or go on where a training was stopped."""
    return service.voices.train(voice, asked.preset, asked.steps, asked.seed)


@router.get("/voices/{voice}/examples/{example}", response_class=FileResponse, responses=AUDIO)
def voice_example(voice: str, example: str, service: TheService) -> FileResponse:
    """A held-out utterance, as recorded or as the checkpoint of a step converts it."""
    record = service.voices.record(voice)
    if not EXAMPLE.fullmatch(example):
        raise not_found("example")
    known = {file.name: file for file in service.voices.examples(record.id).glob("*.flac")}
    if example not in known:
        raise not_found("example")
    return send(known[example], MEDIA[".flac"])


@router.get("/stores", tags=["stores"])
def list_stores(service: TheService) -> list[StoreInfo]:
    """Stores found in the home folder."""
    return stores.list_stores(service.home)
