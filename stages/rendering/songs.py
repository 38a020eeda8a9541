"""`svc render`: several songs with one voice, each refused or reported on its own, and a page of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ...common.errors import SvcError, UserError
from ...common.files import make_folder
from ...common.progress import Progress
from ...pipeline.audio import AudioError
from ..run import Run, newest_run
from ..settings import RenderSettings
from .clip_converter import ClipConverter, check_clips
from .converter import Converter
from .f0_file import check_readable
from .formats import choose_format, parse_format
from .input_song import check_song, naming
from .inputs import find_songs
from .midi_file import MidiChoice
from .output_paths import STANDARD, check_writable, plan_outputs
from .render_file import render_file
from .render_report import RenderReport
from .report import check_page_writable, write_page
from .run_converter import RunConverter
from .separation import MISSING
from .speaker_mix import SpeakerMix


@dataclass(frozen=True)
class RefusedSong:
    """A song that could not be used, and why."""

    song: Path
    reason: str


@dataclass(frozen=True)
class SongJob:
    """A song, the path of its result, and why it cannot be converted, if that is already known."""

    song: Path
    out: Path
    problem: SvcError | None = None


@dataclass
class SongBatch:
    """Songs to convert with one voice. `done` and `refused` list the songs so far."""

    converter: Converter
    jobs: list[SongJob]
    suffix: str = ".wav"
    page: Path | None = None
    f0_file: Path | None = None
    midi: MidiChoice | None = None
    done: list[RenderReport] = field(default_factory=list)
    refused: list[RefusedSong] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        songs: Sequence[Path],
        settings: RenderSettings,
        model: Path | None = None,
        output: Path | None = None,
        suffix: str = "wav",
        page: Path | None = None,
        f0_file: Path | None = None,
        voice: Sequence[Path] = (),
        progress: Progress | None = None,
        midi: MidiChoice | None = None,
    ) -> SongBatch:
        """Check all arguments before anything is loaded or computed, and then load the run or the voice.

        Args:
            songs: recordings, and folders of them; `-` is standard input.
            settings: how to convert them.
            model: the run; None takes the newest in runs/.
            output: a file, or a folder; None writes beside each song. `-` is standard output.
            suffix: the format, unless `output` ends in one: `wav`, `flac`, `mp3` or `ogg`.
            page: an HTML file to write with players and pictures of all songs.
            f0_file: the f0 of the one song, in place of the one that is tracked (stages.rendering.f0_file).
            voice: recordings of the voice to convert to without a run (stages.rendering.clip_converter).
            progress: gets a bar if recordings of a voice are read.
            midi: the melody of a MIDI `f0_file`.

        Raises:
            UserError: a format is not known, there is an f0 file and not one song, a folder holds no song, the page or
                the only result cannot be written, an optional library is missing, or as RunConverter.
            AudioError: the only song is not there.
        """
        suffix = parse_format(suffix)
        if page:
            check_page_writable(page)
        if settings.separate and find_spec("demucs") is None:
            raise UserError(*MISSING)
        if voice:
            run, speaker = None, check_clips(voice, model, settings)[0].stem
        else:
            run = Run.open(model or newest_run())
            speaker = SpeakerMix.parse(settings.speaker or run.speakers[0], run.speakers).name
        found = find_songs(songs)
        check_f0_file(f0_file, len(found), midi)
        outputs = plan_outputs(found, speaker, output, suffix)
        if output is not None and output != STANDARD and any(out.parent == output for out in outputs):
            make_folder(output)
        jobs = [_checked(song, out, settings, output == out) for song, out in zip(found, outputs, strict=True)]
        if jobs and all(job.problem for job in jobs):
            for job in jobs:
                if len(jobs) == 1 and job.problem:
                    with naming(job.song):
                        raise job.problem
            raise UserError("\n".join(["no song can be converted:", *(f"{job.song}: {job.problem}" for job in jobs)]))
        converter = RunConverter(run, settings) if run else ClipConverter(voice, settings, progress)
        return cls(converter, jobs, suffix, page, f0_file, midi)

    @property
    def to_standard_output(self) -> bool:
        """Whether the result goes there."""
        return any(job.out == STANDARD for job in self.jobs)

    def header(self) -> str:
        """Which run, voice, vocoder and device are used."""
        return self.converter.headline()

    def render(self, progress: Progress | None = None) -> Iterator[RenderReport | RefusedSong]:
        """Convert the songs one after the other, yielding each result; then write the page.

        Raises:
            UserError: there is only one song, and it cannot be converted with these settings.
        """
        for job in self.jobs:
            try:
                if job.problem:
                    raise job.problem
                self.done.append(self._render(job, progress))
                yield self.done[-1]
            except (AudioError, UserError) as error:
                if len(self.jobs) == 1 and isinstance(error, UserError):
                    raise
                self.refused.append(RefusedSong(job.song, str(error)))
                yield self.refused[-1]
        if self.page:
            write_page(
                self.page, self.done, [(each.song, each.reason) for each in self.refused], self.converter.about()
            )

    def _render(self, job: SongJob, progress: Progress | None) -> RenderReport:
        suffix = self.suffix if job.out == STANDARD else None
        return render_file(
            self.converter, job.song, job.out, progress=progress, f0_file=self.f0_file, midi=self.midi, suffix=suffix
        )


def check_f0_file(f0_file: Path | None, songs: int, midi: MidiChoice | None = None) -> None:
    """Raises UserError if there is an f0 file without exactly one song, or if it does not exist."""
    if f0_file and songs != 1:
        raise UserError(f"an f0 file belongs to one song, and {songs} were given", "give one song with --f0-file")
    if f0_file and not f0_file.is_file():
        problem = "is no file" if f0_file.exists() else "does not exist"
        raise UserError(f"{f0_file} {problem}", "svc render SONG --f0-only writes an f0 file")
    if f0_file:
        check_readable(f0_file, midi)


def _checked(song: Path, out: Path, settings: RenderSettings, named: bool) -> SongJob:
    try:
        check_song(song)
        check_writable(out, song, named)
        choose_format(out.suffix or ".wav", settings.bit_depth, settings.rate)
    except SvcError as error:
        return SongJob(song, out, error)
    return SongJob(song, out)
