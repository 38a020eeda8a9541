"""Voices: those that were made here, and runs that were found in the home folder."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from ..run import Run
from .database import Database
from .errors import ApiError, not_found
from .events import Broadcaster
from .home import Home, id_of, new_id, slug_of
from .jobs import JobQueue
from .run_facts import fill_from_run
from .schemas import EventKind, Job, JobKind, Recording, Voice, VoiceRecord, VoiceState


class Voices:
    """The voices of a home folder, as records in the database and folders."""

    def __init__(self, home: Home, database: Database, broadcaster: Broadcaster, jobs: JobQueue):
        self.home, self.database, self.broadcaster, self.jobs = home, database, broadcaster, jobs

    def all(self) -> list[Voice]:
        """Those that were made here, then runs that were found."""
        made = [self._view(record) for record in self.database.all("voice", VoiceRecord)]
        ours = {id_of(self.home.run(r.id, r.slug)) for r in self.database.all("voice", VoiceRecord)}
        found = [self._found(id, path) for id, path in self.home.found_runs().items() if id not in ours]
        return [*made, *(voice for voice in found if voice)]

    def get(self, id: str) -> Voice:
        """A voice, made in the page or found in the home folder. Raises ApiError 404."""
        record = self.database.get("voice", id, VoiceRecord)
        if record:
            return self._view(record)
        path = self.home.found_runs().get(id)
        found = self._found(id, path) if path else None
        if found is None:
            raise not_found("voice")
        return found

    def record(self, id: str) -> VoiceRecord:
        """Of a voice that was made here."""
        record = self.database.get("voice", id, VoiceRecord)
        if record is None:
            raise not_found("voice of this page")
        return record

    def run(self, id: str) -> Path:
        """The run of a voice that can be used. Raises ApiError where there is none."""
        record = self.database.get("voice", id, VoiceRecord)
        path = self.home.run(record.id, record.slug) if record else self.home.found_runs().get(id)
        if path is None:
            raise not_found("voice")
        if not (path / "best.safetensors").is_file():
            raise ApiError(409, "voice_not_trained", "this voice is not trained yet")
        return path

    def new(self, name: str, consent: str, encoder: str) -> Voice:
        """Make a voice without recordings."""
        record = VoiceRecord(
            id=new_id(), name=name, slug=slug_of(name), created=time.time(), consent=consent, encoder=encoder
        )
        self.home.corpus(record.id, record.slug).mkdir(parents=True)
        self.database.put("voice", record.id, record)
        self.broadcaster.changed(EventKind.voice, record.id)
        return self._view(record)

    def change(self, record: VoiceRecord) -> None:
        """Keep the changed record of a voice."""
        self.database.put("voice", record.id, record)

    def delete(self, id: str) -> None:
        """Remove a voice that was made here with its recordings, store and run."""
        record = self.record(id)
        self.jobs.cancel_of(id)
        with self.database.transaction():
            self.database.delete("voice", id)
            self.database.delete_of("recording", id)
        for folder in (
            self.home.voice(id),
            self.home.store(id, record.slug),
            self.home.run(id, record.slug),
        ):
            shutil.rmtree(folder, ignore_errors=True)
        self.broadcaster.changed(EventKind.voice, id)

    def report(self, id: str) -> dict[str, Any] | None:
        """The corpus report of a voice, from the last preparation."""
        path = self.home.voice(id) / "report.json"
        return json.loads(path.read_text("utf-8")) if path.is_file() else None

    def examples(self, id: str) -> Path:
        """Folder of a voice's examples."""
        return self.home.voice(id) / "examples"

    def prepare(self, id: str) -> Job:
        """Queue the extraction of a voice's recordings."""
        record = self.record(id)
        if not any(not r.left_out for r in self.database.all("recording", Recording, id)):
            raise ApiError(409, "no_recordings", "add recordings first")
        self._only_one(id)
        return self.jobs.add(JobKind.prepare, record.id, {})

    def train(self, id: str, preset: str, steps: int, seed: int) -> Job:
        """Queue a voice's training."""
        record = self.record(id)
        if not self.home.store(id, record.slug).is_dir():
            raise ApiError(409, "not_prepared", "prepare the recordings first")
        self._only_one(id)
        return self.jobs.add(JobKind.train, id, {"preset": preset, "steps": steps, "seed": seed})

    def _only_one(self, subject: str) -> None:
        if self.jobs.active(subject):
            raise ApiError(409, "busy", "a job is at work on it already")

    def likely_run(self) -> str | None:
        """The run that is likely to be used next: the one that the page used last, else the newest."""
        remembered = self.database.settings().get("last_take")
        last = remembered.get("voice") if isinstance(remembered, dict) else None
        ready = [voice for voice in self.all() if voice.state == VoiceState.ready]
        if not ready:
            return None
        chosen = next((voice for voice in ready if voice.id == last), max(ready, key=lambda voice: voice.created))
        return str(self.run(chosen.id))

    def about(self, voice: str) -> dict[str, Any]:
        """The origin of a take: for the tags of its file."""
        run = Run.open(self.run(voice))
        return {"run": run.name, "voice": self.get(voice).name, "consent": self.get(voice).consent}

    def _view(self, record: VoiceRecord) -> Voice:
        run, store = self.home.run(record.id, record.slug), self.home.store(record.id, record.slug)
        recordings = self.database.count("recording", record.id)
        job = self.jobs.active(record.id)
        voice = Voice(
            id=record.id,
            name=record.name,
            state=VoiceState.recorded if recordings else VoiceState.empty,
            created=record.created,
            made_here=True,
            consent=record.consent,
            encoder=record.encoder,
            recordings=recordings,
            verdict=record.verdict,
            advice=record.advice,
            job=job.id if job else None,
        )
        if store.is_dir() and self.report(record.id):
            voice.state = VoiceState.prepared
        if (run / "run.json").is_file():
            fill_from_run(voice, run)
        if job and job.kind == JobKind.train:
            voice.state = VoiceState.training
        folder = self.examples(record.id)
        voice.examples = sorted(file.name for file in folder.glob("*.flac")) if folder.is_dir() else []
        return voice

    def _found(self, id: str, path: Path) -> Voice | None:
        voice = Voice(id=id, name=path.name, state=VoiceState.empty, created=path.stat().st_mtime, made_here=False)
        fill_from_run(voice, path)
        consent = path / "consent.txt"
        if consent.is_file() and not consent.is_symlink():
            voice.consent = consent.read_text("utf-8", "replace")[:2_000]
        return voice if voice.state == VoiceState.ready else None
