"""Voices: recordings, their report, training."""

from __future__ import annotations

import re
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from ..errors import ApiError, not_found
from ..home import slug_of
from ..schemas import Job, NewVoice, Recording, RecordingChange, StoreInfo, TrainRequest, Voice, VoiceChange
from ..service import BINARY, MEDIA
from ..uploads import checked_suffix, display_name, receive
from .context import AUDIO, ERRORS, PREFIX, TheService, send

router = APIRouter(prefix=PREFIX, tags=["voices"], responses=ERRORS)

EXAMPLE = re.compile(r"(recorded|step-\d{7})\.flac")


@router.get("/voices")
def list_voices(service: TheService) -> list[Voice]:
    """Voices that were made here, and runs found in the home folder."""
    return service.voices()


@router.post("/voices", status_code=201)
def create_voice(asked: NewVoice, service: TheService) -> Voice:
    """A new voice, without recordings yet."""
    if asked.encoder not in service.encoders():
        raise ApiError(422, "unknown_encoder", f"encoders are {', '.join(service.encoders())}")
    return service.new_voice(asked.name, asked.consent, asked.encoder)


@router.get("/voices/{voice}")
def get_voice(voice: str, service: TheService) -> Voice:
    """A voice, and how far it is."""
    return service.voice(voice)


@router.patch("/voices/{voice}")
def change_voice(voice: str, asked: VoiceChange, service: TheService) -> Voice:
    """Its name, its maker's note of consent, and, before it is prepared, its encoder."""
    record = service.voice_record(voice)
    changes = asked.model_dump(exclude_none=True)
    if "encoder" in changes:
        if changes["encoder"] not in service.encoders():
            raise ApiError(422, "unknown_encoder", f"encoders are {', '.join(service.encoders())}")
        if service.home.store(record.id, record.slug).exists():
            raise ApiError(409, "prepared", "the recordings were prepared with another encoder already")
    service.database.put("voice", record.id, record.model_copy(update=changes))
    return service.voice(voice)


@router.delete("/voices/{voice}", status_code=204)
def delete_voice(voice: str, service: TheService) -> None:
    """Remove it with its recordings, store and run; only voices that were made here."""
    service.delete_voice(voice)


@router.get("/voices/{voice}/recordings")
def list_recordings(voice: str, service: TheService) -> list[Recording]:
    """A voice's recordings."""
    service.voice_record(voice)
    return service.database.all("recording", Recording, voice)


@router.post(
    "/voices/{voice}/recordings",
    status_code=201,
    openapi_extra={
        "requestBody": {"required": True, "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def add_recording(voice: str, name: str, request: Request, service: TheService) -> Recording:
    """Upload one recording: the file is the body, its name a query parameter."""
    record = service.voice_record(voice)
    if service.database.count("recording", voice) >= service.settings.recordings:
        raise ApiError(409, "too_many_recordings", f"a voice has up to {service.settings.recordings} recordings")
    shown = display_name(name)
    folder = service.home.corpus(voice, slug_of(record.slug))
    path = await receive(request, folder, checked_suffix(shown), service.home, service.settings)
    made = Recording(
        id=path.stem, voice=voice, name=shown, file=path.name, bytes=path.stat().st_size, created=time.time()
    )
    service.database.put("recording", made.id, made, voice)
    return made


def _recording(voice: str, recording: str, service: TheService) -> Recording:
    found = service.database.get("recording", recording, Recording)
    if found is None or found.voice != voice:
        raise not_found("recording")
    return found


@router.patch("/voices/{voice}/recordings/{recording}")
def change_recording(voice: str, recording: str, asked: RecordingChange, service: TheService) -> Recording:
    """Leave a recording out, or take it in again. The store follows when the voice is prepared the next time."""
    return service.leave_out(_recording(voice, recording, service), asked.left_out)


@router.delete("/voices/{voice}/recordings/{recording}", status_code=204)
def delete_recording(voice: str, recording: str, service: TheService) -> None:
    """Delete a recording."""
    found = _recording(voice, recording, service)
    service.recording_path(found).unlink(missing_ok=True)
    service.database.delete("recording", recording)


@router.get("/voices/{voice}/recordings/{recording}/audio", response_class=FileResponse, responses=AUDIO)
def recording_audio(voice: str, recording: str, service: TheService) -> FileResponse:
    """A recording's file, as it was uploaded."""
    found = _recording(voice, recording, service)
    path = service.recording_path(found)
    return send(path, MEDIA.get(path.suffix, BINARY))


@router.post("/voices/{voice}/prepare", status_code=202)
def prepare_voice(voice: str, service: TheService) -> Job:
    """Extract the recordings into a store, and report on the corpus."""
    return service.prepare(voice)


@router.get("/voices/{voice}/report")
def voice_report(voice: str, service: TheService) -> dict[str, Any]:
    """`corpus`: as `svc inspect STORE --report --json` says; `recordings`: seconds by file name."""
    service.voice_record(voice)
    report = service.report(voice)
    if report is None:
        raise not_found("report yet")
    return report


@router.post("/voices/{voice}/train", status_code=202)
def train_voice(voice: str, asked: TrainRequest, service: TheService) -> Job:
    """Train the voice, or go on where a training was stopped."""
    return service.train(voice, asked.preset, asked.steps, asked.seed)


@router.get("/voices/{voice}/examples/{example}", response_class=FileResponse, responses=AUDIO)
def voice_example(voice: str, example: str, service: TheService) -> FileResponse:
    """A held-out utterance, as recorded or as the checkpoint of a step converts it."""
    record = service.voice_record(voice)
    if not EXAMPLE.fullmatch(example):
        raise not_found("example")
    known = {file.name: file for file in service.examples(record.id).glob("*.flac")}
    if example not in known:
        raise not_found("example")
    return send(known[example], MEDIA[".flac"])


@router.get("/stores", tags=["stores"])
def list_stores(service: TheService) -> list[StoreInfo]:
    """Stores found in the home folder."""
    return service.stores()
