"""`svc render --report`: one page to listen to and look at songs and results, with everything in it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ...store.files import write_whole
from ..errors import UserError
from ..page import page, picture, player
from .render import RenderReport

MARK = "<!-- made by svc render -->"
RATE = 44_100  # Hz, of what is played


def claim_page(path: Path) -> None:
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
    players = player("the song", _mp3(report.song)) + player(f"sung by {report.speaker}", _mp3(report.wav))
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes)
    timings = ", ".join(f"{escape(name)} {seconds:.1f}" for name, seconds in report.timings.items())
    drawn = picture("mels, f0 and loudness of the song and of what was sung", report.picture.read_bytes())
    heading = f"<h2>{escape(report.song.name)}</h2>"
    return f'{heading}<div class="players">{players}</div>{notes}{drawn}<p>seconds: {timings}</p>'


def _mp3(path: Path) -> bytes:
    """A recording as an MP3, mono or stereo: small, and played everywhere."""
    out = io.BytesIO()
    with soundfile.SoundFile(path) as file:
        channels = min(2, file.channels)
        stream = soxr.ResampleStream(file.samplerate, RATE, channels, dtype="float32")
        with soundfile.SoundFile(out, "w", RATE, channels, format="MP3", subtype="MPEG_LAYER_III") as mp3:
            for block in file.blocks(65_536, dtype="float32", always_2d=True):
                clean = np.nan_to_num(np.ascontiguousarray(block[:, :channels]))
                mp3.write(np.clip(stream.resample_chunk(clean), -1, 1))
            mp3.write(np.clip(stream.resample_chunk(np.zeros((0, channels), np.float32), last=True), -1, 1))
    return out.getvalue()


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
