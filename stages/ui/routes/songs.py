"""Songs: their analysis, f0, takes, choices, parts, exports."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, PlainTextResponse, Response

from ...rendering import f0_file, midi_file
from ...rendering.midi_file import MidiChoice, SeveralMelodiesError
from ..errors import ApiError, not_found
from ..home import new_id
from ..media import BINARY, MEDIA
from ..schemas import ConvertRequest, ExportRequest, Job, NewPart, Picks, RenderRequest, Song, SongChange, Take
from ..uploads import check_room, checked_suffix, display_name, receive
from .context import AUDIO, ERRORS, PREFIX, TheService, send

router = APIRouter(prefix=PREFIX, tags=["songs"], responses=ERRORS)
UPLOAD = {"requestBody": {"required": True, "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}}}
CSV = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}}
MIDI: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/midi": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/songs")
def list_songs(service: TheService) -> list[Song]:
    """Songs, without their parts; newest first."""
    return service.songs.all()


async def _add(name: str, request: Request, service: TheService, parent: str | None) -> Song:
    if service.database.count("song") >= service.settings.songs:
        raise ApiError(409, "too_many_songs", f"up to {service.settings.songs} songs are kept; delete some")
    shown, id = display_name(name), new_id()
    folder = service.home.song(id)
    try:
        path = await receive(request, folder, checked_suffix(shown), service.home, service.settings)
    except BaseException:
        if folder.is_dir():
            folder.rmdir()
        raise
    song = Song(id=id, name=shown, file=path.name, bytes=path.stat().st_size, created=time.time(), parent=parent)
    return await run_in_threadpool(service.songs.add, song)


@router.post("/songs", status_code=201, openapi_extra=UPLOAD)
async def add_song(name: str, request: Request, service: TheService) -> Song:
    """Upload a song: the file is the body, its name a query parameter. A job then looks into it."""
    return await _add(name, request, service, None)


@router.get("/songs/{song}")
def get_song(song: str, service: TheService) -> Song:
    """A song, with its phrases."""
    return service.songs.get(song)


@router.patch("/songs/{song}")
def change_song(song: str, asked: SongChange, service: TheService) -> Song:
    """Change a song's name, and its role, gain and time in the mix."""
    changes = asked.model_dump(exclude_none=True)
    if "ends" in changes:
        changes["ends"] = changes["ends"] or None
    changed = service.songs.get(song).model_copy(update=changes)
    if changed.ends is not None and changed.ends <= changed.begins:
        raise ApiError(422, "invalid_request", "a part must end after it begins")
    service.songs.change(changed)
    return changed


@router.delete("/songs/{song}", status_code=204)
def delete_song(song: str, service: TheService) -> None:
    """Remove a song with its parts and takes. Results stay."""
    service.songs.get(song)
    service.songs.delete(song)


@router.get("/songs/{song}/parts")
def list_parts(song: str, service: TheService) -> list[Song]:
    """The song itself, then its parts."""
    return service.songs.parts(song)


@router.post("/songs/{song}/parts", status_code=201, openapi_extra=UPLOAD)
async def add_part(song: str, name: str, request: Request, service: TheService) -> Song:
    """Upload another voice or the backing of a song; all parts are mixed when it is exported."""
    if service.songs.get(song).parent is not None:
        raise ApiError(409, "is_part", "a part has no parts")
    return await _add(name, request, service, song)


@router.post("/songs/{song}/parts/copy", status_code=201)
def copy_part(song: str, asked: NewPart, service: TheService) -> Song:
    """Add a part that is the same recording: another voice for other passages of it."""
    if service.database.count("song") >= service.settings.songs:
        raise ApiError(409, "too_many_songs", f"up to {service.settings.songs} songs are kept; delete some")
    check_room(service.home, service.settings)  # a file system without hard links needs it
    return service.songs.add_copy(song, asked.name)


@router.get("/songs/{song}/audio", response_class=FileResponse, responses=AUDIO)
def song_audio(song: str, service: TheService) -> FileResponse:
    """The song, mixed to mono at 44.1 kHz."""
    found = service.songs.get(song)
    return send(service.home.song(found.id) / "preview.flac", MEDIA[".flac"])


@router.get("/songs/{song}/peaks", response_class=FileResponse)
def song_peaks(song: str, service: TheService) -> FileResponse:
    """int8 pairs: the lowest and highest sample of every 256 at 44.1 kHz, 127 = full scale."""
    return send(service.home.song(service.songs.get(song).id) / "peaks.bin", BINARY)


@router.get("/songs/{song}/spectrogram/{tile}", response_class=FileResponse)
def song_spectrogram(song: str, tile: int, service: TheService) -> FileResponse:
    """A grey PNG: columns are mel frames, 1024 a tile; rows are thirds of semitones from MIDI 108 down to 36."""
    found = service.songs.get(song)
    if not 0 <= tile < found.tiles:
        raise not_found("tile")
    return send(service.home.song(found.id) / f"spectrogram-{tile:03d}.png", "image/png")


@router.get("/songs/{song}/f0", response_class=PlainTextResponse)
def get_f0(song: str, service: TheService, original: bool = False) -> PlainTextResponse:
    """The target f0, as `svc render --f0-file` takes it; `original`: as it was found."""
    found = service.songs.ready(song)
    path = service.home.song(found.id) / "f0.csv" if original else service.songs.f0_path(found)
    headers = {"content-disposition": f"attachment; filename={found.id}.f0.csv"}
    return PlainTextResponse(path.read_text("utf-8"), media_type="text/csv", headers=headers)


@router.get("/songs/{song}/midi", response_class=Response, responses=MIDI)
def get_midi(song: str, service: TheService) -> Response:
    """The target f0 as notes and pitch bends: a standard MIDI file."""
    found = service.songs.ready(song)
    data = midi_file.dumps(f0_file.read(service.songs.f0_path(found), found.frames))
    headers = {"content-disposition": f"attachment; filename={found.id}.mid"}
    return Response(data, media_type="audio/midi", headers=headers)


@router.put("/songs/{song}/f0", openapi_extra=CSV)
async def put_f0(
    song: str,
    request: Request,
    service: TheService,
    track: Annotated[int | None, Query(ge=1)] = None,
    channel: Annotated[int | None, Query(ge=1, le=16)] = None,
) -> Song:
    """Set the target f0: lines `seconds,hz`, 0 Hz where unvoiced; or a MIDI file's melody.

    `track` and `channel` choose the melody of a MIDI file. Without them one that has several is refused as
    `several_melodies`, and `detail` lists them: track, channel, name, notes.
    """
    found = service.songs.ready(song)
    choice = MidiChoice(track, channel)
    try:
        f0 = await run_in_threadpool(f0_file.loads, await request.body(), found.frames, choice)
    except SeveralMelodiesError as error:
        detail = [
            {"track": each.track, "channel": each.channel, "name": each.name, "notes": len(each.notes)}
            for each in error.melodies
        ]
        raise ApiError(422, "several_melodies", f"{error.message}; choose a track or channel", detail) from error
    return await run_in_threadpool(service.songs.change_f0, found, f0)


@router.delete("/songs/{song}/f0")
def delete_f0(song: str, service: TheService) -> Song:
    """Return to the tracked f0."""
    return service.songs.change_f0(service.songs.ready(song), None)


@router.post("/songs/{song}/convert", status_code=202)
def convert_song(song: str, asked: ConvertRequest, service: TheService) -> Job:
    """Convert phrases: each take is an event as soon as it is there."""
    return service.songs.convert(song, asked.settings, asked.phrases, asked.takes)


@router.get("/songs/{song}/takes")
def list_takes(song: str, service: TheService) -> list[Take]:
    """Best first within each phrase."""
    service.songs.get(song)
    return sorted(service.takes.all(song), key=lambda take: (take.phrase, -take.scores.overall))


@router.get("/songs/{song}/takes/{take}/audio", response_class=FileResponse, responses=AUDIO)
def take_audio(song: str, take: str, service: TheService) -> FileResponse:
    """A take's sound, as FLAC."""
    return send(service.takes.path(service.takes.get(song, take)), MEDIA[".flac"], cached=True)


@router.delete("/songs/{song}/takes/{take}", status_code=204)
def delete_take(song: str, take: str, service: TheService) -> None:
    """Delete a take."""
    service.takes.delete(service.takes.get(song, take))


@router.get("/songs/{song}/picks")
def get_picks(song: str, service: TheService) -> dict[int, str | None]:
    """Of each phrase the take that is exported: chosen by hand, else the best one."""
    service.songs.get(song)
    return service.takes.picks(song)


@router.put("/songs/{song}/picks")
def put_picks(song: str, asked: Picks, service: TheService) -> dict[int, str | None]:
    """Choose the take of each phrase; null chooses none."""
    service.songs.get(song)
    return service.takes.pick(song, asked.picks)


@router.post("/songs/{song}/export", status_code=202)
def export_song(song: str, asked: ExportRequest, service: TheService) -> Job:
    """Write the whole song, its stems, or a folder of all takes into results."""
    return service.songs.export(song, asked)


@router.post("/songs/{song}/render", status_code=202)
def render_song(song: str, asked: RenderRequest, service: TheService) -> Job:
    """Render all parts at once into results, each with its own voice and key, as `svc render --parts` does."""
    return service.songs.render(song, asked)
