"""One page to listen to and look at an evaluation, with everything in it: no other file, no network."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.files import write_whole
from ...pipeline.frames import MEL_RATE
from ..mp3 import encode
from ..page import page, picture, player


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
    write_whole(path, page(title, body))


def _table(rows: list[list[str]]) -> str:
    first, *rest = rows
    head = "".join(f"<th>{escape(cell)}</th>" for cell in first)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rest)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _section(section: Section) -> str:
    players = "".join(player(name, encode([wav[:, None]], MEL_RATE, 1)) for name, wav in section.sounds.items())
    drawn = picture(f"mel and f0 of {section.title}", section.picture) if section.picture is not None else ""
    return f'<h2>{escape(section.title)}</h2><div class="players">{players}</div>{drawn}'
