"""Takes of a song's phrases, and which of them are chosen."""

from __future__ import annotations

from pathlib import Path

from .database import Database
from .errors import not_found
from .events import Broadcaster
from .home import Home
from .schemas import EventKind, PickRecord, Take


class Takes:
    """The takes of all songs."""

    def __init__(self, home: Home, database: Database, broadcaster: Broadcaster):
        self.home, self.database, self.broadcaster = home, database, broadcaster

    def get(self, song: str, id: str) -> Take:
        """A take of a song. Raises ApiError 404."""
        found = self.database.get("take", id, Take)
        if found is None or found.song != song:
            raise not_found("take")
        return found

    def add(self, take: Take) -> None:
        """Keep a take whose sound was written."""
        self.database.put("take", take.id, take, take.song)
        self.broadcaster.changed(EventKind.take, take.song, **take.model_dump(mode="json"))

    def delete(self, take: Take) -> None:
        """Delete a take and its sound."""
        self.database.delete("take", take.id)
        self.path(take).unlink(missing_ok=True)

    def all(self, song: str) -> list[Take]:
        """All takes of a song."""
        return self.database.all("take", Take, song)

    def path(self, take: Take) -> Path:
        """Path of a take's sound."""
        return self.home.takes(take.song) / f"{take.id}.flac"

    def picks(self, song: str) -> dict[int, str | None]:
        """Of each phrase the chosen take; where none was chosen by hand, the one with the best scores."""
        chosen = self.database.get("picks", song, PickRecord)
        out: dict[int, str | None] = {}
        for take in sorted(self.all(song), key=lambda take: take.scores.overall):
            out[take.phrase] = take.id
        known = {take.id for take in self.all(song)}
        by_hand = chosen.picks if chosen else {}
        return {**out, **{n: pick for n, pick in by_hand.items() if pick is None or pick in known}}

    def pick(self, song: str, picks: dict[int, str | None]) -> dict[int, str | None]:
        """Choose takes by phrase number; None chooses none. Returns all that are chosen."""
        known = {take.id: take for take in self.all(song)}
        for number, take in picks.items():
            if take is not None and (take not in known or known[take].phrase != number):
                raise not_found("take of this phrase")
        with self.database.transaction():
            before = self.database.get("picks", song, PickRecord) or PickRecord(picks={})
            self.database.put("picks", song, PickRecord(picks={**before.picks, **picks}), song)
        self.broadcaster.changed(EventKind.song, song, id=song)
        return self.picks(song)
