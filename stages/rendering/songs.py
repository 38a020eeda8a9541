"""`svc render`: several songs with one run, each refused or reported on its own, and a page of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...common.errors import UserError
from ...common.progress import Progress
from ...pipeline import audio
from ...pipeline.audio import AudioError
from ..run import Run, newest_run
from ..settings import RenderSettings
from . import f0_file as f0_files
from .inputs import find_songs
from .output import FORMATS, output_path
from .render_file import RenderReport, render_file
from .report import check_page_writable, write_page
from .run_converter import RunConverter
from .source_audio import SourceAudio
from .source_features import analyse
from .stopwatch import Stopwatch
from .target_f0 import melody_of


@dataclass(frozen=True)
class RefusedSong:
    """A song that could not be used, and why."""

    song: Path
    reason: str


@dataclass
class SongBatch:
    """Songs to convert with one run. What was done and refused so far is in `done` and `refused`."""

    converter: RunConverter
    songs: list[Path]
    output: Path | None = None
    suffix: str = ".wav"
    page: Path | None = None
    f0_file: Path | None = None
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
    ) -> SongBatch:
        """Check what can be checked before anything is computed, and load the run.

        Args:
            songs: recordings, and folders of them.
            model: the run; None takes the newest in runs/.
            output: a file, or a folder; None writes beside each song.
            suffix: the format, unless `output` ends in one: `wav`, `flac`, `mp3` or `ogg`.
            page: an HTML file to write with players and pictures of all songs.
            f0_file: the f0 of the one song, in place of the one that is tracked (stages.rendering.f0_file).

        Raises:
            UserError: a format is not known, there is an f0 file and not one song, a folder holds no song, the page
                cannot be written, or as RunConverter.
        """
        if (suffix := "." + suffix.lower().lstrip(".")) not in FORMATS:
            known = ", ".join(name[1:] for name in FORMATS)
            raise UserError(f"format {suffix[1:]!r} is not written; choose {known}")
        if page:
            check_page_writable(page)
        run = Run.open(model or newest_run())
        found = find_songs(songs)
        if f0_file and len(found) != 1:
            raise UserError(
                f"an f0 file belongs to one song, and {len(found)} were given", "give one song with --f0-file"
            )
        if f0_file and not f0_file.is_file():
            raise UserError(f"{f0_file} does not exist", "svc render SONG --f0-only writes one")
        return cls(RunConverter(run, settings), found, output, suffix, page, f0_file)

    def header(self) -> str:
        """Which run, voice, vocoder and device are used."""
        used = self.converter
        return (
            f"{used.run.path} (step {used.step}): voice {used.speaker()}, vocoder {used.vocoder.name}, on {used.device}"
        )

    def render(self, progress: Progress | None = None) -> Iterator[RenderReport | RefusedSong]:
        """Convert the songs one after the other, yielding what came of each; then write the page.

        Raises:
            UserError: there is one song alone, and it cannot be converted as asked.
        """
        for song in self.songs:
            try:
                out = output_path(song, self.converter.speaker(), self.output, self.songs, self.suffix)
                self.done.append(render_file(self.converter, song, out, progress=progress, f0_file=self.f0_file))
                yield self.done[-1]
            except (AudioError, UserError) as error:
                if len(self.songs) == 1 and isinstance(error, UserError):
                    raise
                self.refused.append(RefusedSong(song, str(error)))
                yield self.refused[-1]
        if self.page:
            write_page(
                self.page, self.done, [(each.song, each.reason) for each in self.refused], self.converter.about()
            )


def write_f0_files(
    songs: Sequence[Path],
    settings: RenderSettings,
    model: Path | None = None,
    output: Path | None = None,
    progress: Progress | None = None,
) -> Iterator[Path]:
    """Track the f0 of songs as a render with the run would, into `SONG.f0.csv` files; yields each.

    Raises:
        UserError: there is no run, or a file is there that is no f0 file.
        AudioError: a song cannot be used.
    """
    config = Run.open(model or newest_run()).config
    found = find_songs(songs)
    for song in found:
        out = song.with_name(f"{song.stem}.f0.csv") if output is None else output
        if output is not None and (output.is_dir() or len(found) > 1):
            out = output / f"{song.stem}.f0.csv"
        f0_files.check_ours(out)
        source = SourceAudio.cut(audio.scan(audio.decode(song)), config.slices)
        with (progress or Progress()).bar(song.name, round(source.seconds_converted, 1), "s") as bar:
            features = analyse(source, settings.pitch(config.pitch_settings), bar, Stopwatch())
        f0_files.write(out, melody_of(features.f0, settings))
        yield out
