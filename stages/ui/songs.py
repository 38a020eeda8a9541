"""Songs and their parts: files, analysis, target f0, and jobs on them."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.files import write_whole
from ...pipeline.frames import seconds_to_mel_frames
from ..rendering import f0_file
from .database import Database
from .errors import ApiError, not_found
from .events import Broadcaster
from .home import Home, new_id
from .jobs import JobQueue
from .schemas import EventKind, ExportRequest, Job, JobKind, RenderRequest, Song, SongState, TakeSettings
from .voices import Voices


class Songs:
    """The songs of a home folder, as records in the database and folders."""

    def __init__(self, home: Home, database: Database, broadcaster: Broadcaster, jobs: JobQueue, voices: Voices):
        self.home, self.database, self.broadcaster, self.jobs = home, database, broadcaster, jobs
        self.voices = voices

    def all(self) -> list[Song]:
        """Songs without their parts, the newest first."""
        return [song for song in reversed(self.database.all("song", Song)) if song.parent is None]

    def get(self, id: str) -> Song:
        """A song. Raises ApiError 404."""
        song = self.database.get("song", id, Song)
        if song is None:
            raise not_found("song")
        return song

    def ready(self, id: str) -> Song:
        """A song that was analysed. Raises ApiError 409 before."""
        song = self.get(id)
        if song.state != SongState.ready:
            raise ApiError(409, "song_not_ready", "the song is still being analysed")
        return song

    def source(self, song: Song) -> Path:
        """Path of a song's uploaded file."""
        return self.home.song(song.id) / song.file

    def add(self, song: Song) -> Song:
        """Add a song with an uploaded file, and queue its analysis."""
        self.change(song)
        self.jobs.add(JobKind.analyse, song.id, {})
        return song

    def add_copy(self, id: str, name: str) -> Song:
        """A part that is the same recording as the song, for another voice in other passages."""
        song = self.ready(id)
        part = Song(
            **{
                **song.model_dump(),
                "id": new_id(),
                "name": name,
                "parent": song.parent or song.id,
                "created": time.time(),
                "begins": 0.0,
                "ends": None,
            }
        )
        here, there = self.home.song(song.id), self.home.song(part.id)
        there.mkdir(parents=True)
        for file in here.iterdir():
            if file.is_file():
                link_or_copy(file, there / file.name)
        self.change(part)
        return part

    def change(self, song: Song) -> None:
        """Store a changed song, and send the change to the pages."""
        self.database.put("song", song.id, song, song.parent)
        self.broadcaster.changed(EventKind.song, song.id, id=song.id, parent=song.parent)

    def parts(self, id: str) -> list[Song]:
        """The song itself, then its parts."""
        return [self.get(id), *self.database.all("song", Song, id)]

    def delete(self, id: str) -> None:
        """Delete a song with its parts, takes and jobs."""
        for song in self.parts(id):
            self.jobs.cancel_of(song.id)
            with self.database.transaction():
                self.database.delete("song", song.id)
                self.database.delete("picks", song.id)
                self.database.delete_of("take", song.id)
            shutil.rmtree(self.home.song(song.id), ignore_errors=True)
            self.broadcaster.changed(EventKind.song, song.id, id=song.id, parent=song.parent, deleted=True)

    def f0_path(self, song: Song) -> Path:
        """The target f0: the user's curve, or else the tracked one."""
        return self.home.song(song.id) / ("f0.edited.csv" if song.f0_edited else "f0.csv")

    def change_f0(self, song: Song, f0: NDArray[np.float32] | None) -> Song:
        """Set the target f0 (frames,), or with None the tracked one; phrases that it changes are marked."""
        before = f0_file.read(self.f0_path(song), song.frames)
        after = f0_file.read(self.home.song(song.id) / "f0.csv", song.frames) if f0 is None else f0
        if f0 is not None:
            write_whole(self.home.song(song.id) / "f0.edited.csv", f0_file.dumps(f0).encode())
        times = dict(song.f0_times)
        for phrase in song.phrases:
            part = slice(seconds_to_mel_frames(phrase.start), seconds_to_mel_frames(phrase.end))
            if not np.array_equal(before[part], after[part]):
                times[phrase.index] = time.time()
        changed = song.model_copy(update={"f0_edited": f0 is not None, "f0_times": times})
        self.change(changed)
        return changed

    def convert(self, id: str, settings: TakeSettings, phrases: list[int] | None, takes: int) -> Job:
        """Queue takes of phrases (None: all of them)."""
        song = self.ready(id)
        self.voices.run(settings.voice)
        if any(not 0 <= number < len(song.phrases) for number in phrases or []):
            raise not_found("phrase")
        if takes * len(phrases or song.phrases) > 5_000:
            raise ApiError(422, "too_many_takes", "that are more than 5000 takes")
        return self.jobs.add(
            JobKind.convert,
            id,
            {"settings": settings.model_dump(), "phrases": phrases, "takes": takes},
        )

    def render(self, id: str, asked: RenderRequest) -> Job:
        """Queue a render of all parts at once. Raises ApiError where a part is not ready, or none is converted."""
        if self.get(id).parent is not None:
            raise ApiError(409, "is_part", "a part is rendered with its song")
        parts = {part.id: self.ready(part.id) for part in self.parts(id)}
        if any(known not in parts or parts[known].role != "sing" for known in asked.settings):
            raise not_found("part that is converted")
        if missing := [part.name for part in parts.values() if part.role == "sing" and part.id not in asked.settings]:
            raise ApiError(422, "no_voice", f"no voice was chosen for {', '.join(missing)}")
        if not asked.settings:
            raise ApiError(422, "nothing_to_convert", "every part is kept as it is")
        for settings in asked.settings.values():
            self.voices.run(settings.voice)
        return self.jobs.add(JobKind.render, id, {**asked.model_dump(), "result": new_id()})

    def export(self, id: str, asked: ExportRequest) -> Job:
        """Queue an export."""
        self.ready(id)
        return self.jobs.add(JobKind.export, id, {**asked.model_dump(), "result": new_id()})


def link_or_copy(source: Path, target: Path) -> None:
    """Another name for a file that is never written to again; a copy where the file system has no hard links."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
