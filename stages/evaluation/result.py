"""What an evaluation leaves: lines to print, figures as JSON, and a page; and the songs that it had sung for it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...common.files import write_whole
from ...common.progress import Progress
from ...pipeline import audio
from ...pipeline.metrics.audio_features import Samples
from ..rendering.render import Converter
from .page import Section, write_page


@dataclass(frozen=True)
class Evaluation:
    """What was found: `lines` to print, `facts` as JSON, where both lie with the page, and unused songs."""

    out: Path
    lines: list[str]
    metadata: dict[str, Any]
    refused: dict[Path, str] = field(default_factory=dict)


def sung(singer: Converter, source: Samples, out: Path, name: str, progress: Progress) -> tuple[Samples, float]:
    """The run's conversion of a song (T,), left in `out` as `svc render` leaves it, and the key it is in."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.wav"
        audio.write(path, source)
        report = singer.render(path, out / f"{name}.{safe(singer.speaker)}.wav", progress)
    found = audio.scan(report.wav)
    return audio.read(found, 0, found.frames)[: len(source)], report.key


def safe(speaker: str) -> str:
    return "".join("_" if letter in '/\\:*?"<>|' else letter for letter in speaker)


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Figures as JSON has them."""
    return {
        name: value if value is None or isinstance(value, str) else None if np.isnan(value) else round(float(value), 4)
        for name, value in values.items()
    }


def write(
    out: Path,
    title: str,
    notes: list[str],
    metadata: dict[str, Any],
    tables: list[tuple[str, list[list[str]]]],
    sections: list[Section],
) -> None:
    write_whole(out / "evaluation.json", (json.dumps(metadata, indent=1, ensure_ascii=False) + "\n").encode())
    write_page(out / "evaluation.html", title, notes, tables, sections)


def where(out: Path) -> list[str]:
    return [f"{out / 'evaluation.html'}: listen and look; {out / 'evaluation.json'}: all figures, song by song"]
