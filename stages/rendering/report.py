"""`svc render --report`: one page with players and pictures of songs and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from ...common.errors import UserError
from ...common.files import write_whole
from ..mp3 import encode_file
from ..page import Table, explained, facts, page, paragraphs, picture, players
from .render_report import RenderReport

MARK = "<!-- made by svc render -->"
GLOSSARY = {
    "key": "Semitones by which the song was moved.",
    "within 20 cents": "The share of voiced moments whose pitch is within a fifth of a semitone of what was asked for.",
}


def check_page_writable(path: Path) -> None:
    """Raises UserError if a page would replace a file that svc did not make, or cannot be written."""
    if not path.parent.is_dir():
        raise UserError(f"{path.parent} does not exist; make it, or give another place with --report")
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a page, such as {path / 'report.html'}")
    if path.exists():
        with path.open("rb") as file:
            if MARK.encode() not in file.read(200):
                raise UserError(f"{path} exists and is no report of svc render; move it, or give another place")


def write_page(
    path: Path,
    reports: Sequence[RenderReport],
    refused: Sequence[tuple[Path, str]] = (),
    about: Mapping[str, str] | None = None,
) -> None:
    """Write the page.

    Args:
        reports: of the songs that were converted.
        refused: songs that were not, and why.
        about: the models: run, step, encoder, vocoder.
    """
    rows = [
        [
            report.song.name,
            report.speaker,
            f"{report.key:+g}",
            f"{report.seconds:.1f}",
            f"{report.took:.1f}",
            _share(report.within_20_cents),
        ]
        for report in reports
    ]
    headings = ["song", "voice", "key", "length, s", "took, s", "within 20 cents"]
    body = (
        facts(about or {}),
        Table("Songs", headings, rows).html(GLOSSARY),
        paragraphs((f"{song.name} was refused: {why}" for song, why in refused), "warning"),
        *map(_section, reports),
        explained({name: meaning for name, meaning in GLOSSARY.items() if name in headings}),
    )
    write_whole(path, page("svc render", "".join(body), MARK))


def _section(report: RenderReport) -> str:
    sounds = {"the song": report.song, f"as {report.speaker}": report.wav}
    timings = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report.timings.items())
    drawn = ""
    if report.picture is not None:
        drawn = picture("mels, f0 and loudness of the song and of the result", report.picture.read_bytes())
    return (
        f"<h2>{escape(report.song.name)}</h2>{players({name: encode_file(file) for name, file in sounds.items()})}"
        f"{paragraphs(report.notes, 'note')}{drawn}{paragraphs([f'Seconds: {timings}'], 'note')}"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
