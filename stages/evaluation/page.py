"""The page of an evaluation: a verdict in words, tables, the meaning of measures, and every sound and picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.files import write_whole
from ...pipeline.frames import MEL_RATE
from ..mp3 import encode_mono
from ..page import Table, explained, facts, page, paragraphs, picture, players
from .glossary import glossary

MARK = "<!-- made by svc evaluate -->"


@dataclass(frozen=True)
class Section:
    """A song: its sounds, float32 (T,) at 44.1 kHz by caption, a picture as the bytes of a PNG, and remarks."""

    title: str
    sounds: dict[str, NDArray[np.float32]]
    picture: bytes | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """The content of a page.

    Attributes:
        title: its heading.
        facts: the evaluated system: run, step, encoder, vocoder.
        verdict: the results in sentences.
        notes: how the figures were measured.
        warnings: such as refused songs.
        tables: the figures. Headings that the glossary has are explained.
        sections: the songs.
        terms: other entries of the glossary that the page needs, such as G1.
    """

    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    verdict: Sequence[str] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    tables: Sequence[Table] = ()
    sections: Sequence[Section] = ()
    terms: Sequence[str] = ()

    def html(self) -> str:
        """The page's body."""
        known = glossary([*(name for table in self.tables for name in table.headings), *self.terms])
        return "".join(
            (
                facts(self.facts),
                paragraphs(self.verdict, "verdict"),
                paragraphs(self.warnings, "warning"),
                *(table.html(known) for table in self.tables),
                paragraphs(self.notes, "note"),
                *map(_section, self.sections),
                explained(known),
            )
        )


def write_page(path: Path, report: Report) -> None:
    """Write a report as one HTML file."""
    write_whole(path, page(report.title, report.html(), MARK))


def _section(section: Section) -> str:
    sounds = players({name: encode_mono(wav, MEL_RATE) for name, wav in section.sounds.items()})
    drawn = picture(f"mel and f0 of {section.title}", section.picture) if section.picture is not None else ""
    return f"<h2>{escape(section.title)}</h2>{sounds}{drawn}{paragraphs(section.notes, 'note')}"
