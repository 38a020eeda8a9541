"""A voice's recordings: files in its corpus, or left out of it."""

from __future__ import annotations

from pathlib import Path

from .database import Database
from .errors import not_found
from .events import Broadcaster
from .home import Home
from .schemas import EventKind, Recording
from .voices import Voices


class Recordings:
    """The recordings of voices that were made here."""

    def __init__(self, home: Home, database: Database, broadcaster: Broadcaster, voices: Voices):
        self.home, self.database, self.broadcaster, self.voices = home, database, broadcaster, voices

    def all(self, voice: str) -> list[Recording]:
        """Those of a voice, the oldest first. Raises ApiError 404 where there is no such voice."""
        return self.database.all("recording", Recording, self.voices.record(voice).id)

    def get(self, voice: str, id: str) -> Recording:
        """A recording of a voice. Raises ApiError 404."""
        found = self.database.get("recording", id, Recording)
        if found is None or found.voice != voice:
            raise not_found("recording")
        return found

    def add(self, recording: Recording) -> None:
        """Keep the record of a file that is in the corpus."""
        self.database.put("recording", recording.id, recording, recording.voice)

    def path(self, recording: Recording) -> Path:
        """Path of a recording, which depends on whether it is left out."""
        record = self.voices.record(recording.voice)
        left_out = self.home.left_out(record.id) / recording.file
        return left_out if recording.left_out else self.home.corpus(record.id, record.slug) / recording.file

    def leave_out(self, recording: Recording, out: bool) -> Recording:
        """Take a recording out of the corpus, or put it back. Its file is moved; the store follows."""
        before = self.path(recording)
        changed = recording.model_copy(update={"left_out": out})
        after = self.path(changed)
        after.parent.mkdir(parents=True, exist_ok=True)
        if before != after and before.exists():
            before.replace(after)
        self.database.put("recording", changed.id, changed, changed.voice)
        self.broadcaster.changed(EventKind.voice, changed.voice)
        return changed

    def delete(self, recording: Recording) -> None:
        """Delete a recording and its file."""
        self.path(recording).unlink(missing_ok=True)
        self.database.delete("recording", recording.id)
