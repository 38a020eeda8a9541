"""Parameters of workers: a job's ids become paths when its worker begins, so they are valid after a restart too."""

from __future__ import annotations

import json
import math
from typing import Any

from .encoders import encoder_source
from .recordings import Recordings
from .results import file_name
from .schemas import Job, JobKind, Song, TakeSettings
from .settings import ServerSettings
from .songs import Songs
from .takes import Takes
from .voices import Voices


class JobParams:
    """The parameters of each kind of job, as JSON for stages/ui/tasks.py."""

    def __init__(self, settings: ServerSettings, voices: Voices, recordings: Recordings, songs: Songs, takes: Takes):
        self.settings, self.home = settings, voices.home
        self.voices, self.recordings, self.songs, self.takes = voices, recordings, songs, takes
        self._of = {
            JobKind.analyse: self._analyse,
            JobKind.convert: self._convert,
            JobKind.export: self._export,
            JobKind.render: self._render,
            JobKind.single: self._single,
            JobKind.prepare: self._prepare,
            JobKind.train: self._train,
            JobKind.sample: self._sample,
        }

    def __call__(self, job: Job) -> dict[str, Any]:
        """The parameters of a job. Raises ApiError if its subject does not exist any more."""
        return self._of[job.kind](job)

    def about_song(self, song: Song) -> dict[str, Any]:
        """The origin of the picked takes of a song and its parts: for the tags of its export."""
        takes = {take.id: take for part in self.songs.parts(song.id) for take in self.takes.all(part.id)}
        picked = [id for part in self.songs.parts(song.id) for id in self.takes.picks(part.id).values()]
        chosen = [takes[id] for id in picked if id in takes]
        voices = sorted({take.settings.voice for take in chosen})
        kinds = {take.settings.model_dump_json(exclude={"seed"}) for take in chosen}
        return {
            "song": song.name,
            "voices": [self.voices.about(voice) for voice in voices],
            "settings": [json.loads(kind) for kind in sorted(kinds)][:20],
            "run_sha256": sorted({take.run_sha256 for take in chosen}),
            "phrases": len(chosen),
        }

    def _analyse(self, job: Job) -> dict[str, Any]:
        song = self.songs.get(job.subject)
        return {
            "file": str(self.songs.source(song)),
            "name": song.name,
            "folder": str(self.home.song(song.id)),
            "max_seconds": self.settings.song_seconds,
            "voice": self.voices.likely_run() if song.parent is None else None,
        }

    def about_render(self, job: Job) -> dict[str, Any]:
        """The origin of a render of all parts: for its record; its tags are those of `svc render --parts`."""
        asked = [TakeSettings(**given) for given in job.params["settings"].values()]
        return {
            "song": self.songs.get(job.subject).name,
            "voices": [self.voices.about(voice) for voice in sorted({settings.voice for settings in asked})],
            "settings": [settings.model_dump() for settings in asked],
        }

    def _convert(self, job: Job) -> dict[str, Any]:
        song = self.songs.get(job.subject)
        settings = TakeSettings(**job.params["settings"])
        folder = self.home.takes(song.id)
        folder.mkdir(exist_ok=True)
        asked = job.params["phrases"]
        known = self.takes.all(song.id)
        if asked is None:  # an existing take with these settings and this f0 is not made again
            like = settings.model_dump(exclude={"seed"})
            known = [t for t in known if t.settings.model_dump(exclude={"seed"}) == like]
            there = {(t.phrase, t.settings.seed) for t in known if t.created >= song.f0_times.get(t.phrase, 0.0)}
        else:  # make takes again, except those that this job made before it was interrupted
            there = {(t.phrase, t.settings.seed) for t in known if t.created >= job.created}
        phrases = range(len(song.phrases)) if asked is None else asked
        seeds = range(settings.seed, settings.seed + job.params["takes"])
        return {
            "file": str(self.songs.source(song)),
            "f0": str(self.songs.f0_path(song)),
            "f0_edited": song.f0_edited,
            "run": str(self.voices.run(settings.voice)),
            "settings": {name: value for name, value in conversion_settings(settings).items() if name != "seed"},
            "phrases": [phrase.model_dump() for phrase in song.phrases],
            "todo": [(n, seed) for seed in seeds for n in phrases if (n, seed) not in there],
            "folder": str(folder),
            "about": self.voices.about(settings.voice),
        }

    def _export(self, job: Job) -> dict[str, Any]:
        song = self.songs.get(job.subject)
        self.home.results.mkdir(exist_ok=True)
        takes = [
            {"name": f"phrase-{t.phrase + 1:03d}/{t.scores.overall:.3f}-{t.id}.flac", "file": str(self.takes.path(t))}
            for t in self.takes.all(song.id)
        ]
        return {
            "what": job.params["what"],
            "format": job.params["format"],
            "out": str(self.home.results / file_name(job)),
            "title": song.name,
            "parts": [self._export_part(part) for part in self.songs.parts(song.id)],
            "takes": takes,
            "about": self.about_song(song),
        }

    def _export_part(self, part: Song) -> dict[str, Any]:
        takes = {take.id: take for take in self.takes.all(part.id)}
        picks = [(number, takes[id]) for number, id in sorted(self.takes.picks(part.id).items()) if id in takes]
        return {
            "name": part.name,
            "source": str(self.songs.source(part)),
            "sing": part.role == "sing",
            "gain_db": part.gain_db - 20 * math.log10(part.mixdown_gain) * (part.role == "sing"),
            "begins": part.begins,
            "ends": part.ends,
            "seconds": part.seconds,
            "phrases": [phrase.model_dump() for phrase in part.phrases],
            "picks": [{"phrase": n, "file": str(self.takes.path(t)), "start": t.start} for n, t in picks],
        }

    def _render(self, job: Job) -> dict[str, Any]:
        song = self.songs.get(job.subject)
        self.home.results.mkdir(exist_ok=True)
        asked = {id: TakeSettings(**given) for id, given in job.params["settings"].items()}
        return {
            "out": str(self.home.results / file_name(job)),
            "parts": [self._render_part(part, asked.get(part.id)) for part in self.songs.parts(song.id)],
        }

    def _render_part(self, part: Song, settings: TakeSettings | None) -> dict[str, Any]:
        given = {
            "song": str(self.songs.source(part)),
            "gain_db": part.gain_db,
            "start": part.begins,
            "end": part.ends,
            "sing": settings is not None,
        }
        if settings is None:
            return given
        f0 = {"f0_file": str(self.songs.f0_path(part))} if part.f0_edited else {}
        return {**given, **f0, "model": str(self.voices.run(settings.voice)), **conversion_settings(settings)}

    def _single(self, job: Job) -> dict[str, Any]:
        folder = self.home.state / "single" / job.id
        return {
            "file": str(self.home.state / "single" / job.params["file"]),
            "out": str(self.home.state / "single" / f"{job.params['result']}.wav"),
            "folder": str(folder),
            "run": str(self.voices.run(job.params["voice"])),
            "settings": job.params["settings"],
            "max_seconds": self.settings.song_seconds,
        }

    def _prepare(self, job: Job) -> dict[str, Any]:
        record = self.voices.record(job.subject)
        recordings = self.recordings.all(record.id)
        return {
            "corpus": str(self.home.voice(record.id) / "corpus"),
            "store": str(self.home.store(record.id, record.slug)),
            "files": [str(self.recordings.path(each)) for each in recordings if not each.left_out],
            "encoder": encoder_source(self.home, record.encoder),
            "max_seconds": self.settings.recording_seconds,
        }

    def _train(self, job: Job) -> dict[str, Any]:
        record = self.voices.record(job.subject)
        return {
            **job.params,
            "store": str(self.home.store(record.id, record.slug)),
            "run": str(self.home.run(record.id, record.slug)),
        }

    def _sample(self, job: Job) -> dict[str, Any]:
        record = self.voices.record(job.subject)
        return {
            "run": str(self.voices.run(record.id)),
            "store": str(self.home.store(record.id, record.slug)),
            "corpus": str(self.home.voice(record.id) / "corpus"),
            "folder": str(self.voices.examples(record.id)),
            "about": self.voices.about(record.id),
        }


def conversion_settings(settings: TakeSettings) -> dict[str, Any]:
    """A take's settings as fields of ConversionSettings."""
    return settings.model_dump(exclude={"voice"})
