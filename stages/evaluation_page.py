"""One page to listen to and look at an evaluation, with everything in it: no other file, no network."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from ..pipeline.frames import MEL_RATE
from ..store.files import write_whole

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #222; }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.2rem; overflow-wrap: anywhere; }
.players { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: .5rem 1rem; }
figure { margin: 0; } audio, img { width: 100%; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .7rem .15rem 0; text-align: right; white-space: nowrap; }
td:first-child, th:first-child { text-align: left; } tr:first-of-type td { font-weight: 600; }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd; } }
"""


@dataclass(frozen=True)
class Section:
    """A song: what can be heard of it, (T,) at 44.1 kHz by name, and a picture, the bytes of a PNG."""

    title: str
    sounds: dict[str, NDArray[np.float32]]
    picture: bytes | None = None


def write_page(
    path: Path, title: str, notes: list[str], tables: list[tuple[str, list[list[str]]]], sections: list[Section]
) -> None:
    """Write the page. A table is a caption and rows, of which the first has the headings."""
    body = "".join(f"<p>{escape(note)}</p>" for note in notes)
    body += "".join(f"<h2>{escape(caption)}</h2>{_table(rows)}" for caption, rows in tables)
    body += "".join(_section(section) for section in sections)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>{body}</html>\n"
    )
    write_whole(path, page.encode())


def _table(rows: list[list[str]]) -> str:
    first, *rest = rows
    head = "".join(f"<th>{escape(cell)}</th>" for cell in first)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rest)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _section(section: Section) -> str:
    players = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>"
        f'<audio controls preload="none" src="data:audio/mpeg;base64,{_mp3(wav)}"></audio></figure>'
        for name, wav in section.sounds.items()
    )
    picture = ""
    if section.picture is not None:
        data = base64.b64encode(section.picture).decode()
        picture = f'<img alt="mel and f0 of {escape(section.title)}" src="data:image/png;base64,{data}">'
    return f'<h2>{escape(section.title)}</h2><div class="players">{players}</div>{picture}'


def _mp3(wav: NDArray[np.float32]) -> str:
    """Sound as any browser plays it, in base64."""
    held = io.BytesIO()
    soundfile.write(held, np.clip(wav, -1, 1), MEL_RATE, format="MP3")
    return base64.b64encode(held.getvalue()).decode()
