"""What an evaluation leaves: lines to print, figures as JSON, and a page; and the songs that it had sung for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...common.files import write_whole
from ...common.progress import Progress
from ...pipeline.frames import MEL_RATE
from ...pipeline.metrics.audio_features import Samples
from ..rendering.converter import Converter
from ..rendering.result_files import write_conversion
from .page import Section, write_page


@dataclass(frozen=True)
class Evaluation:
    """What was found: `lines` to print, `facts` as JSON, where both lie with the page, and unused songs."""

    out: Path
    lines: list[str]
    metadata: dict[str, Any]
    refused: dict[Path, str] = field(default_factory=dict)


def sung(converter: Converter, source: Samples, out: Path, name: str, progress: Progress) -> tuple[Samples, float]:
    """A song (T,) at 44.1 kHz, converted: (T,), and its key. Its files lie in `out`, as `svc render` leaves them."""
    conversion = converter.convert(source, MEL_RATE, progress=progress)
    write_conversion(conversion, out / f"{name}.{safe(converter.speaker())}.wav", name)
    return conversion.samples, conversion.key


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
