"""`svc render --report`: one page to listen to and look at songs and results, with everything in it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ...common.errors import UserError
from ...common.files import write_whole
from ..mp3 import encode_file
from ..page import page, picture, player
from .render_file import RenderReport

MARK = "<!-- made by svc render -->"


def check_page_writable(path: Path) -> None:
    """Raises UserError where a page would be written over what svc did not make, or nowhere."""
    if not path.parent.is_dir():
        raise UserError(f"{path.parent} does not exist; make it, or give another place with --report")
    if path.exists():
        with path.open("rb") as file:
            if MARK.encode() not in file.read(200):
                raise UserError(f"{path} exists and is no report of svc render; move it, or give another place")


def write_page(path: Path, reports: Sequence[RenderReport], refused: Sequence[tuple[Path, str]] = ()) -> None:
    """Write the page: players and pictures of all songs in one file that needs no other."""
    rows = "".join(
        f"<tr><td>{escape(report.song.name)}</td><td>{escape(report.speaker)}</td><td>{report.key:+g}</td>"
        f"<td>{report.seconds:.1f}</td><td>{report.took:.1f}</td><td>{_share(report.within_20_cents)}</td></tr>"
        for report in reports
    )
    table = (
        "<table><tr><th>song</th><th>voice</th><th>key</th><th>s</th><th>took, s</th><th>within 20 cents</th></tr>"
        f"{rows}</table>"
    )
    missing = "".join(f'<p class="note">{escape(song.name)}: {escape(why)}</p>' for song, why in refused)
    write_whole(path, page("svc render", f"{table}{missing}{''.join(map(_section, reports))}", MARK))


def _section(report: RenderReport) -> str:
    sounds = {"the song": report.song, f"sung by {report.speaker}": report.wav}
    players = "".join(player(caption, encode_file(path)) for caption, path in sounds.items())
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes)
    timings = ", ".join(f"{escape(name)} {seconds:.1f}" for name, seconds in report.timings.items())
    drawn = picture("mels, f0 and loudness of the song and of what was sung", report.picture.read_bytes())
    heading = f"<h2>{escape(report.song.name)}</h2>"
    return f'{heading}<div class="players">{players}</div>{notes}{drawn}<p>seconds: {timings}</p>'


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
