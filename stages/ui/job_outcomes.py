"""Results of jobs, and the jobs that follow from them."""

from __future__ import annotations

import json
from typing import Any

from .job_params import JobParams
from .results import Results
from .schemas import Advice, EventKind, Job, JobKind, JobState, Song, SongState, Take, TakeSettings


class JobOutcomes:
    """Stores the results of jobs, and queues the jobs that follow."""

    def __init__(self, params: JobParams, results: Results):
        self.params, self.results = params, results
        self.voices, self.songs, self.takes = params.voices, params.songs, params.takes
        self._converted: dict[str, int] = {}  # of each voice, the checkpoint of its last example

    def item(self, job: Job, item: dict[str, Any]) -> None:
        """Store an intermediate result of a worker."""
        if item["kind"] == "song":
            song = self.songs.get(job.subject)
            self.songs.change(Song(**{**song.model_dump(), **item["fields"], "state": SongState.ready}))
        elif item["kind"] == "take":
            settings = {**job.params["settings"], "seed": item["seed"]}
            fields = {name: value for name, value in item.items() if name not in ("kind", "seed")}
            take = Take(song=job.subject, settings=TakeSettings(**settings), **fields)
            self.takes.add(take)

    def follow(self, job: Job) -> None:
        """Act on a job's progress or end."""
        if job.state == JobState.running:
            if job.kind == JobKind.train:
                self._listen_to(job.subject)
            return
        if job.kind == JobKind.analyse and job.state == JobState.failed:
            song = self.songs.get(job.subject)
            self.songs.change(song.model_copy(update={"state": SongState.failed, "error": job.error}))
        if job.state != JobState.done or job.result is None:
            return
        if job.kind == JobKind.prepare:
            path = self.voices.home.voice(job.subject) / "report.json"
            path.write_text(json.dumps(job.result["report"]), "utf-8")
        elif job.kind == JobKind.train:
            record = self.voices.record(job.subject)
            advice = Advice(**job.result["advice"])
            self.voices.change(record.model_copy(update={"verdict": job.result["verdict"], "advice": advice}))
        elif job.kind == JobKind.export:
            song = self.songs.get(job.subject)
            self.results.add(job, song, job.result, self.params.about_song(song))
        elif job.kind == JobKind.render:
            self.results.add(job, self.songs.get(job.subject), job.result, self.params.about_render(job))
        of_voice = job.kind in (JobKind.prepare, JobKind.train, JobKind.sample)
        self.voices.broadcaster.changed(EventKind.voice if of_voice else EventKind.song, job.subject, id=job.subject)

    def _listen_to(self, id: str) -> None:
        """Have a held-out utterance converted whenever a training has a better checkpoint."""
        best = self.voices.home.run(id, self.voices.record(id).slug) / "best.safetensors"
        changed = best.stat().st_mtime_ns if best.is_file() else 0
        if changed == self._converted.get(id, 0):
            return
        if not any(
            j.state in (JobState.queued, JobState.running) for j in self.voices.jobs.all(id) if j.kind == JobKind.sample
        ):
            self._converted[id] = changed
            self.voices.jobs.add(JobKind.sample, id, {})
