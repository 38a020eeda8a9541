"""`svc render`: several songs with one run, each refused or reported on its own, and a page of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...common.errors import UserError
from ...common.progress import Progress
from ...pipeline.audio import AudioError
from ..run import Run, newest_run
from ..settings import RenderSettings
from .inputs import find_songs
from .output import FORMATS, output_path
from .render_file import RenderReport, render_file
from .report import check_page_writable, write_page
from .run_converter import RunConverter


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
    ) -> SongBatch:
        """Check what can be checked before anything is computed, and load the run.

        Args:
            songs: recordings, and folders of them.
            model: the run; None takes the newest in runs/.
            output: a file, or a folder; None writes beside each song.
            suffix: the format, unless `output` ends in one: `wav`, `flac`, `mp3` or `ogg`.
            page: an HTML file to write with players and pictures of all songs.

        Raises:
            UserError: a format is not known, a folder holds no song, the page cannot be written, or as RunConverter.
        """
        if (suffix := "." + suffix.lower().lstrip(".")) not in FORMATS:
            known = ", ".join(name[1:] for name in FORMATS)
            raise UserError(f"format {suffix[1:]!r} is not written; choose {known}")
        if page:
            check_page_writable(page)
        run = Run.open(model or newest_run())
        found = find_songs(songs)
        return cls(RunConverter(run, settings), found, output, suffix, page)

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
                self.done.append(render_file(self.converter, song, out, progress=progress))
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
