"""Results: files that were exported."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from .database import Database
from .errors import not_found
from .events import Broadcaster
from .home import Home
from .media import MEDIA
from .schemas import EventKind, Job, JobKind, Result, Song


def file_name(job: Job) -> str:
    """The name of the file in the results' folder that an export or a render writes."""
    whole = job.params.get("what", "whole") == "whole"
    return f"{job.params['result']}.{job.params['format'] if whole else 'zip'}"


class Results:
    """The exported files of a home folder."""

    def __init__(self, home: Home, database: Database, broadcaster: Broadcaster):
        self.home, self.database, self.broadcaster = home, database, broadcaster

    def all(self, song: str | None = None) -> list[Result]:
        """Exported files that are there, the newest first."""
        found = self.database.all("result", Result, song)
        return [result for result in reversed(found) if (self.home.results / result.file).is_file()]

    def get(self, id: str) -> Result:
        """An exported file. Raises ApiError 404."""
        result = self.database.get("result", id, Result)
        if result is None or not (self.home.results / result.file).is_file():
            raise not_found("result")
        return result

    def delete(self, id: str) -> None:
        """Delete an exported file."""
        result = self.get(id)
        self.database.delete("result", id)
        path = self.home.results / result.file
        for file in (path, path.with_suffix(".json")):  # the description beside a render
            file.unlink(missing_ok=True)
        self.broadcaster.changed(EventKind.result, id)

    def add(self, job: Job, song: Song, made: dict[str, Any], about: dict[str, Any]) -> None:
        """Keep the record of a file that an export job wrote. `about` is in its tags."""
        what, file = job.params.get("what", "whole"), file_name(job)
        suffix = Path(file).suffix
        kind = "mix" if job.kind == JobKind.render else "converted" if what == "whole" else what
        label = f"{Path(song.name).stem}.{kind}{suffix}"
        result = Result(
            id=job.params["result"],
            song=song.id,
            label=label,
            file=file,
            bytes=made["bytes"],
            created=time.time(),
            media=MEDIA[suffix],
            about=about,
        )
        self.database.put("result", result.id, result, song.id)
        self.broadcaster.changed(EventKind.result, song.id, **result.model_dump(mode="json"))
