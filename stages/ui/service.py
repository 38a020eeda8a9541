"""The server's knowledge: records in the database, files in the home folder, jobs. It computes nothing itself."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import UserError
from ...common.files import write_whole
from ...pipeline.frames import seconds_to_mel_frames
from ...store import StoreError, open_store
from ..rendering import f0_file
from ..run import Run
from ..training_log import TrainingLog
from .database import Database
from .errors import ApiError, not_found
from .events import Broadcaster
from .home import Home, id_of, new_id, slug_of
from .jobs import JobQueue
from .schemas import (
    Event,
    EventKind,
    ExportRequest,
    Job,
    JobKind,
    JobState,
    PickRecord,
    Recording,
    Result,
    Song,
    SongState,
    SpeakerInfo,
    StoreInfo,
    Take,
    TakeSettings,
    Validation,
    Voice,
    VoiceRecord,
    VoiceState,
)
from .settings import ServerSettings

MEDIA = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".aiff": "audio/aiff",
    ".aif": "audio/aiff",
    ".zip": "application/zip",
}
ENCODERS = ("en", "ko", "ja", "zh", "en-large", "contentvec", "mini")
BINARY = "application/octet-stream"
VALIDATIONS = 400  # of a run that are shown


class Service:
    """One home folder, served."""

    def __init__(self, settings: ServerSettings):
        self.settings = settings
        self.home = Home.open(settings.home)
        self.database = Database(self.home.database)
        self.broadcaster = Broadcaster(settings.streams)
        self._heard: dict[str, int] = {}  # of each voice the checkpoint that was listened to last
        self.jobs = JobQueue(self.database, self.broadcaster, settings, self._params, self._item, self._follow)

    def start(self) -> None:
        """Start the job queue."""
        self.jobs.start()

    def stop(self) -> None:
        """Stop the job queue, and close the database."""
        self.broadcaster.close()
        self.jobs.stop()
        self.database.close()

    def publish(self, kind: EventKind, subject: str, **data: Any) -> None:
        """Send a change to every open page."""
        self.broadcaster.publish(Event(kind=kind, subject=subject, data=data))

    def encoders(self) -> list[str]:
        """Encoders that a voice can be made with: by the program's own names, and folders in HOME/encoders."""
        folder = self.home.path / "encoders"
        local = [path.parent.name for path in sorted(folder.glob("*/config.json"))] if folder.is_dir() else []
        return [*ENCODERS, *local]

    # Voices.

    def voices(self) -> list[Voice]:
        """Those that were made here, then runs that were found."""
        made = [self._voice(record) for record in self.database.all("voice", VoiceRecord)]
        ours = {id_of(self.home.run(r.id, r.slug)) for r in self.database.all("voice", VoiceRecord)}
        found = [self._found(id, path) for id, path in self.home.found_runs().items() if id not in ours]
        return [*made, *(voice for voice in found if voice)]

    def voice(self, id: str) -> Voice:
        """A voice, made in the page or found in the home folder. Raises ApiError 404."""
        record = self.database.get("voice", id, VoiceRecord)
        if record:
            return self._voice(record)
        path = self.home.found_runs().get(id)
        found = self._found(id, path) if path else None
        if found is None:
            raise not_found("voice")
        return found

    def voice_record(self, id: str) -> VoiceRecord:
        """Of a voice that was made here."""
        record = self.database.get("voice", id, VoiceRecord)
        if record is None:
            raise not_found("voice of this page")
        return record

    def run_of(self, id: str) -> Path:
        """The run of a voice that can be used. Raises ApiError where there is none."""
        record = self.database.get("voice", id, VoiceRecord)
        path = self.home.run(record.id, record.slug) if record else self.home.found_runs().get(id)
        if path is None:
            raise not_found("voice")
        if not (path / "best.safetensors").is_file():
            raise ApiError(409, "voice_not_trained", "this voice is not trained yet")
        return path

    def new_voice(self, name: str, consent: str, encoder: str) -> Voice:
        """Make a voice without recordings."""
        record = VoiceRecord(
            id=new_id(), name=name, slug=slug_of(name), created=time.time(), consent=consent, encoder=encoder
        )
        self.home.corpus(record.id, record.slug).mkdir(parents=True)
        self.database.put("voice", record.id, record)
        self.publish(EventKind.voice, record.id)
        return self._voice(record)

    def delete_voice(self, id: str) -> None:
        """Remove a voice that was made here with its recordings, store and run."""
        record = self.voice_record(id)
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
        self.publish(EventKind.voice, id)

    def recording_path(self, recording: Recording) -> Path:
        """Path of a recording, which depends on whether it is left out."""
        record = self.voice_record(recording.voice)
        left_out = self.home.left_out(record.id) / recording.file
        return left_out if recording.left_out else self.home.corpus(record.id, record.slug) / recording.file

    def leave_out(self, recording: Recording, out: bool) -> Recording:
        """Take a recording out of the corpus, or put it back. Its file is moved; the store follows."""
        before = self.recording_path(recording)
        changed = recording.model_copy(update={"left_out": out})
        after = self.recording_path(changed)
        after.parent.mkdir(parents=True, exist_ok=True)
        if before != after and before.exists():
            before.replace(after)
        self.database.put("recording", changed.id, changed, changed.voice)
        self.publish(EventKind.voice, changed.voice)
        return changed

    def report(self, id: str) -> dict[str, Any] | None:
        """The corpus report of a voice, as the last preparation left it."""
        path = self.home.voice(id) / "report.json"
        return json.loads(path.read_text("utf-8")) if path.is_file() else None

    def examples(self, id: str) -> Path:
        """Folder of a voice's examples."""
        return self.home.voice(id) / "examples"

    def prepare(self, id: str) -> Job:
        """Queue the extraction of a voice's recordings."""
        record = self.voice_record(id)
        if not any(not r.left_out for r in self.database.all("recording", Recording, id)):
            raise ApiError(409, "no_recordings", "add recordings first")
        self._only_one(id)
        return self.jobs.add(JobKind.prepare, record.id, {})

    def train(self, id: str, preset: str, steps: int, seed: int) -> Job:
        """Queue a voice's training."""
        record = self.voice_record(id)
        if not self.home.store(id, record.slug).is_dir():
            raise ApiError(409, "not_prepared", "prepare the recordings first")
        self._only_one(id)
        return self.jobs.add(JobKind.train, id, {"preset": preset, "steps": steps, "seed": seed})

    def _only_one(self, subject: str) -> None:
        if self.jobs.active(subject):
            raise ApiError(409, "busy", "a job is at work on it already")

    def _voice(self, record: VoiceRecord) -> Voice:
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
            job=job.id if job else None,
        )
        if store.is_dir() and self.report(record.id):
            voice.state = VoiceState.prepared
        if (run / "run.json").is_file():
            _fill(voice, run)
        if job and job.kind == JobKind.train:
            voice.state = VoiceState.training
        folder = self.examples(record.id)
        voice.examples = sorted(file.name for file in folder.glob("*.flac")) if folder.is_dir() else []
        return voice

    def _found(self, id: str, path: Path) -> Voice | None:
        voice = Voice(id=id, name=path.name, state=VoiceState.empty, created=path.stat().st_mtime, made_here=False)
        _fill(voice, path)
        consent = path / "consent.txt"
        if consent.is_file() and not consent.is_symlink():
            voice.consent = consent.read_text("utf-8", "replace")[:2_000]
        return voice if voice.state == VoiceState.ready else None

    def stores(self) -> list[StoreInfo]:
        """The stores in the home folder."""
        found = []
        for id, path in self.home.found_stores().items():
            try:
                store = open_store(path)
                clips = list(store)
            except (StoreError, UserError, OSError):
                continue
            found.append(
                StoreInfo(
                    id=id,
                    name=path.name,
                    utterances=len(clips),
                    seconds=round(sum(clip.seconds for clip in clips), 1),
                    speakers=sorted({clip.speaker for clip in clips}),
                    columns=sorted(store.columns),
                )
            )
        return found

    # Songs.

    def song(self, id: str) -> Song:
        """A song. Raises ApiError 404."""
        song = self.database.get("song", id, Song)
        if song is None:
            raise not_found("song")
        return song

    def ready_song(self, id: str) -> Song:
        """A song that was analysed. Raises ApiError 409 before."""
        song = self.song(id)
        if song.state != SongState.ready:
            raise ApiError(409, "song_not_ready", "the song is still being looked into")
        return song

    def source_path(self, song: Song) -> Path:
        """Path of a song's uploaded file."""
        return self.home.song(song.id) / song.file

    def add_song(self, song: Song) -> Song:
        """A song whose file is there: look into it."""
        self.database.put("song", song.id, song, song.parent)
        self.publish(EventKind.song, song.id, id=song.id, parent=song.parent)
        self.jobs.add(JobKind.analyse, song.id, {})
        return song

    def change_song(self, song: Song) -> None:
        """Store a changed song, and send the change to the pages."""
        self.database.put("song", song.id, song, song.parent)
        self.publish(EventKind.song, song.id, id=song.id, parent=song.parent)

    def parts(self, id: str) -> list[Song]:
        """The song itself, then its parts."""
        return [self.song(id), *self.database.all("song", Song, id)]

    def delete_song(self, id: str) -> None:
        """Delete a song with its parts, takes and jobs."""
        for song in self.parts(id):
            self.jobs.cancel_of(song.id)
            with self.database.transaction():
                self.database.delete("song", song.id)
                self.database.delete("picks", song.id)
                self.database.delete_of("take", song.id)
            shutil.rmtree(self.home.song(song.id), ignore_errors=True)
            self.publish(EventKind.song, song.id, id=song.id, parent=song.parent, deleted=True)

    def f0_path(self, song: Song) -> Path:
        """The target f0: as it was drawn, else as it was tracked."""
        return self.home.song(song.id) / ("f0.edited.csv" if song.f0_edited else "f0.csv")

    def change_f0(self, song: Song, f0: NDArray[np.float32] | None) -> Song:
        """Sing another f0 (frames,), or with None the one that was found; phrases that it changes are marked."""
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
        self.change_song(changed)
        return changed

    def takes(self, song: str) -> list[Take]:
        """All takes of a song."""
        return self.database.all("take", Take, song)

    def take_path(self, take: Take) -> Path:
        """Path of a take's sound."""
        return self.home.takes(take.song) / f"{take.id}.flac"

    def picks(self, song: str) -> dict[int, str | None]:
        """Of each phrase the chosen take; where none was chosen by hand, the one with the best scores."""
        chosen = self.database.get("picks", song, PickRecord)
        out: dict[int, str | None] = {}
        for take in sorted(self.takes(song), key=lambda take: take.scores.overall):
            out[take.phrase] = take.id
        known = {take.id for take in self.takes(song)}
        by_hand = chosen.picks if chosen else {}
        return {**out, **{n: pick for n, pick in by_hand.items() if pick is None or pick in known}}

    def pick(self, song: str, picks: dict[int, str | None]) -> dict[int, str | None]:
        """Choose takes by phrase number; None chooses none. Returns all that are chosen."""
        known = {take.id: take for take in self.takes(song)}
        for number, take in picks.items():
            if take is not None and (take not in known or known[take].phrase != number):
                raise not_found("take of this phrase")
        with self.database.transaction():
            before = self.database.get("picks", song, PickRecord) or PickRecord(picks={})
            self.database.put("picks", song, PickRecord(picks={**before.picks, **picks}), song)
        self.publish(EventKind.song, song, id=song)
        return self.picks(song)

    def convert(self, id: str, settings: TakeSettings, phrases: list[int] | None, takes: int) -> Job:
        """Queue takes of phrases (None: all of them)."""
        song = self.ready_song(id)
        self.run_of(settings.voice)
        if any(not 0 <= number < len(song.phrases) for number in phrases or []):
            raise not_found("phrase")
        if takes * len(phrases or song.phrases) > 5_000:
            raise ApiError(422, "too_many_takes", "that are more than 5000 takes")
        return self.jobs.add(
            JobKind.convert,
            id,
            {"settings": settings.model_dump(), "phrases": phrases, "takes": takes},
        )

    def export(self, id: str, asked: ExportRequest) -> Job:
        """Queue an export."""
        self.ready_song(id)
        return self.jobs.add(JobKind.export, id, {**asked.model_dump(), "result": new_id()})

    # Results.

    def results(self, song: str | None = None) -> list[Result]:
        """Exported files that are there, the newest first."""
        found = self.database.all("result", Result, song)
        return [result for result in reversed(found) if (self.home.results / result.file).is_file()]

    def result(self, id: str) -> Result:
        """An exported file. Raises ApiError 404."""
        result = self.database.get("result", id, Result)
        if result is None or not (self.home.results / result.file).is_file():
            raise not_found("result")
        return result

    def delete_result(self, id: str) -> None:
        """Delete an exported file."""
        result = self.result(id)
        self.database.delete("result", id)
        (self.home.results / result.file).unlink(missing_ok=True)
        self.publish(EventKind.result, id)

    # What workers are given, and what they bring.

    def _params(self, job: Job) -> dict[str, Any]:
        """A job's ids become paths here, when its worker begins: they are right after a restart, too."""
        given: dict[str, Any] = getattr(self, f"_params_{job.kind}")(job)
        return given

    def _params_analyse(self, job: Job) -> dict[str, Any]:
        song = self.song(job.subject)
        return {
            "file": str(self.source_path(song)),
            "folder": str(self.home.song(song.id)),
            "max_seconds": self.settings.song_seconds,
            "voice": self._likely_run() if song.parent is None else None,
        }

    def _likely_run(self) -> str | None:
        """The run that is likely to sing next: the one that the page used last, else the newest."""
        remembered = self.database.settings().get("last_take")
        last = remembered.get("voice") if isinstance(remembered, dict) else None
        ready = [voice for voice in self.voices() if voice.state == VoiceState.ready]
        if not ready:
            return None
        chosen = next((voice for voice in ready if voice.id == last), max(ready, key=lambda voice: voice.created))
        return str(self.run_of(chosen.id))

    def _params_convert(self, job: Job) -> dict[str, Any]:
        song = self.song(job.subject)
        settings = TakeSettings(**job.params["settings"])
        folder = self.home.takes(song.id)
        folder.mkdir(exist_ok=True)
        asked = job.params["phrases"]
        known = self.takes(song.id)
        if asked is None:  # what is there with these settings, and with this f0, is not made twice
            like = settings.model_dump(exclude={"seed"})
            known = [t for t in known if t.settings.model_dump(exclude={"seed"}) == like]
            there = {(t.phrase, t.settings.seed) for t in known if t.created >= song.f0_times.get(t.phrase, 0.0)}
        else:  # again, but not what this job made before it was interrupted
            there = {(t.phrase, t.settings.seed) for t in known if t.created >= job.created}
        phrases = range(len(song.phrases)) if asked is None else asked
        seeds = range(settings.seed, settings.seed + job.params["takes"])
        return {
            "file": str(self.source_path(song)),
            "f0": str(self.f0_path(song)),
            "f0_edited": song.f0_edited,
            "run": str(self.run_of(settings.voice)),
            "settings": {name: value for name, value in settings.model_dump().items() if name not in ("voice", "seed")},
            "phrases": [phrase.model_dump() for phrase in song.phrases],
            "todo": [(n, seed) for seed in seeds for n in phrases if (n, seed) not in there],
            "folder": str(folder),
            "about": self._about(settings.voice),
        }

    def _params_export(self, job: Job) -> dict[str, Any]:
        song = self.song(job.subject)
        what, form = job.params["what"], job.params["format"]
        self.home.results.mkdir(exist_ok=True)
        suffix = "." + form if what == "whole" else ".zip"
        takes = [
            {"name": f"phrase-{t.phrase + 1:03d}/{t.scores.overall:.3f}-{t.id}.flac", "file": str(self.take_path(t))}
            for t in self.takes(song.id)
        ]
        return {
            "what": what,
            "format": form,
            "out": str(self.home.results / f"{job.params['result']}{suffix}"),
            "title": song.name,
            "parts": [self._export_part(part) for part in self.parts(song.id)],
            "takes": takes,
            "about": self._about_song(song),
        }

    def _export_part(self, part: Song) -> dict[str, Any]:
        takes = {take.id: take for take in self.takes(part.id)}
        picks = [(number, takes[id]) for number, id in sorted(self.picks(part.id).items()) if id in takes]
        return {
            "name": part.name,
            "source": str(self.source_path(part)),
            "sing": part.role == "sing",
            "gain_db": part.gain_db,
            "seconds": part.seconds,
            "phrases": [phrase.model_dump() for phrase in part.phrases],
            "picks": [{"phrase": n, "file": str(self.take_path(t)), "start": t.start} for n, t in picks],
        }

    def _params_single(self, job: Job) -> dict[str, Any]:
        folder = self.home.state / "single" / job.id
        return {
            "file": str(self.home.state / "single" / job.params["file"]),
            "out": str(self.home.state / "single" / f"{job.params['result']}.wav"),
            "folder": str(folder),
            "run": str(self.run_of(job.params["voice"])),
            "settings": job.params["settings"],
            "max_seconds": self.settings.song_seconds,
        }

    def _params_prepare(self, job: Job) -> dict[str, Any]:
        record = self.voice_record(job.subject)
        recordings = self.database.all("recording", Recording, record.id)
        return {
            "corpus": str(self.home.voice(record.id) / "corpus"),
            "store": str(self.home.store(record.id, record.slug)),
            "files": [str(self.recording_path(each)) for each in recordings if not each.left_out],
            "encoder": record.encoder
            if record.encoder in ENCODERS
            else str(self.home.path / "encoders" / record.encoder),
            "max_seconds": self.settings.recording_seconds,
        }

    def _params_train(self, job: Job) -> dict[str, Any]:
        record = self.voice_record(job.subject)
        return {
            **job.params,
            "store": str(self.home.store(record.id, record.slug)),
            "run": str(self.home.run(record.id, record.slug)),
        }

    def _params_sample(self, job: Job) -> dict[str, Any]:
        record = self.voice_record(job.subject)
        return {
            "run": str(self.run_of(record.id)),
            "store": str(self.home.store(record.id, record.slug)),
            "corpus": str(self.home.voice(record.id) / "corpus"),
            "folder": str(self.examples(record.id)),
            "about": self._about(record.id),
        }

    def _about(self, voice: str) -> dict[str, Any]:
        """What made a take: for the tags of its file."""
        run = Run.open(self.run_of(voice))
        return {"run": run.name, "voice": self.voice(voice).name, "consent": self.voice(voice).consent}

    def _about_song(self, song: Song) -> dict[str, Any]:
        takes = {take.id: take for part in self.parts(song.id) for take in self.takes(part.id)}
        chosen = [takes[id] for part in self.parts(song.id) for id in self.picks(part.id).values() if id in takes]
        voices = sorted({take.settings.voice for take in chosen})
        kinds = {take.settings.model_dump_json(exclude={"seed"}) for take in chosen}
        return {
            "song": song.name,
            "voices": [self._about(voice) for voice in voices],
            "settings": [json.loads(kind) for kind in sorted(kinds)][:20],
            "run_sha256": sorted({take.run_sha256 for take in chosen}),
            "phrases": len(chosen),
        }

    def _item(self, job: Job, item: dict[str, Any]) -> None:
        """Keep what a worker made on the way."""
        if item["kind"] == "song":
            song = self.song(job.subject)
            self.change_song(Song(**{**song.model_dump(), **item["fields"], "state": SongState.ready}))
        elif item["kind"] == "take":
            settings = {**job.params["settings"], "seed": item["seed"]}
            fields = {name: value for name, value in item.items() if name not in ("kind", "seed")}
            take = Take(song=job.subject, settings=TakeSettings(**settings), **fields)
            self.database.put("take", take.id, take, take.song)
            self.publish(EventKind.take, take.song, **take.model_dump(mode="json"))

    def _follow(self, job: Job) -> None:
        """What follows when a job got further or ended."""
        if job.state == JobState.running:
            if job.kind == JobKind.train:
                self._listen_to(job.subject)
            return
        if job.kind == JobKind.analyse and job.state == JobState.failed:
            song = self.song(job.subject)
            self.change_song(song.model_copy(update={"state": SongState.failed, "error": job.error}))
        if job.state != JobState.done or job.result is None:
            return
        if job.kind == JobKind.prepare:
            path = self.home.voice(job.subject) / "report.json"
            path.write_text(json.dumps(job.result["report"]), "utf-8")
        elif job.kind == JobKind.train:
            record = self.voice_record(job.subject)
            self.database.put("voice", record.id, record.model_copy(update={"verdict": job.result["verdict"]}))
        elif job.kind == JobKind.export:
            self._add_result(job, job.result)
        of_voice = job.kind in (JobKind.prepare, JobKind.train, JobKind.sample)
        self.publish(EventKind.voice if of_voice else EventKind.song, job.subject, id=job.subject)

    def _listen_to(self, id: str) -> None:
        """Have a held-out utterance converted whenever a training has a better checkpoint."""
        best = self.home.run(id, self.voice_record(id).slug) / "best.safetensors"
        changed = best.stat().st_mtime_ns if best.is_file() else 0
        if changed == self._heard.get(id, 0):
            return
        if not any(
            j.state in (JobState.queued, JobState.running) for j in self.jobs.all(id) if j.kind == JobKind.sample
        ):
            self._heard[id] = changed
            self.jobs.add(JobKind.sample, id, {})

    def _add_result(self, job: Job, made: dict[str, Any]) -> None:
        song = self.song(job.subject)
        what, form = job.params["what"], job.params["format"]
        suffix = "." + form if what == "whole" else ".zip"
        label = f"{song.name}.{'converted' if what == 'whole' else what}{suffix}"
        result = Result(
            id=job.params["result"],
            song=song.id,
            label=label,
            file=f"{job.params['result']}{suffix}",
            bytes=made["bytes"],
            created=time.time(),
            media=MEDIA[suffix],
            about=self._about_song(song),
        )
        self.database.put("result", result.id, result, song.id)
        self.publish(EventKind.result, song.id, **result.model_dump(mode="json"))


def _fill(voice: Voice, path: Path) -> None:
    """What a run says of itself; nothing where it cannot be read."""
    try:
        run = Run.open(path)
        validations = TrainingLog(run.log).read()
        voice.speakers = [SpeakerInfo(**asdict(speaker)) for speaker in run.config.speakers]
        voice.steps_wanted = run.config.settings.steps
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return
    every = max(1, len(validations) // VALIDATIONS)
    voice.validations = [
        Validation(step=int(line["step"]), values={name: value for name, value in line.items() if name != "step"})
        for line in validations[::every]
    ]
    if validations:
        voice.steps = int(validations[-1]["step"])
        voice.best_step = int(max(validations, key=lambda line: line.get("score", 0.0))["step"])
    if run.best.is_file():
        voice.state = VoiceState.ready
