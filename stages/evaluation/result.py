"""The output of an evaluation: lines to print, figures as JSON, a page, and the converted songs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...common.errors import UserError
from ...common.files import write_whole
from ...common.progress import Progress
from ...pipeline.frames import MEL_RATE
from ...pipeline.metrics.audio_features import Samples
from ..rendering.result_files import write_conversion
from ..rendering.run_converter import RunConverter
from .page import MARK, Report, write_page

MADE_BY = "svc evaluate"
FIGURES, PAGE = "evaluation.json", "evaluation.html"


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        out: the folder with everything.
        lines: to print.
        metadata: all figures, as JSON.
        refused: songs that could not be used, and why.
    """

    out: Path
    lines: list[str]
    metadata: dict[str, Any]
    refused: dict[Path, str] = field(default_factory=dict)


def converted(
    converter: RunConverter, source: Samples, out: Path, name: str, progress: Progress, song: Path | None = None
) -> tuple[Samples, float]:
    """Convert a song and write its files into `out`, as `svc render` does.

    Args:
        source: float32 (T,) at 44.1 kHz.
        name: of the song, for the file's name.
        song: where the song lies, if it was read from a file.

    Returns:
        The result, float32 (T,) at 44.1 kHz, and the key in semitones.

    Raises:
        AudioError: the song cannot be used.
        UserError: it would replace a file that svc did not make.
    """
    conversion = converter.convert(source, MEL_RATE, progress=progress)
    write_conversion(conversion, out / f"{name}.{safe(converter.speaker())}.wav", name, song=song)
    return conversion.samples, conversion.key


def safe(speaker: str) -> str:
    """A speaker's name as a part of a file's name."""
    return "".join("_" if letter in '/\\:*?"<>|' else letter for letter in speaker)


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Figures rounded to four decimals, with null for NaN, as JSON has them."""
    return {
        name: None
        if isinstance(value, float) and np.isnan(value)
        else round(value, 4)
        if isinstance(value, float)
        else value
        for name, value in values.items()
    }


def check_out(out: Path) -> None:
    """Raises UserError if an evaluation would replace a file that svc did not make."""
    figures, page = out / FIGURES, out / PAGE
    try:
        ours = "svc" in json.loads(figures.read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        ours = False
    if page.exists() and not ours:
        with page.open("rb") as file:
            ours = MARK.encode() in file.read(200) and not figures.exists()
    if not ours and (figures.exists() or page.exists()):
        raise UserError(
            f"{out} holds an {figures.name if figures.exists() else page.name} that svc did not make",
            "give another place with -o",
        )


def write(out: Path, report: Report, metadata: dict[str, Any]) -> list[str]:
    """Write figures and page; returns a line with their paths to print."""
    figures = {"made": MADE_BY, **metadata}
    write_whole(out / FIGURES, (json.dumps(figures, indent=1, ensure_ascii=False) + "\n").encode())
    write_page(out / PAGE, report)
    return [f"{out / PAGE}: listen and look; {out / FIGURES}: all figures, song by song"]
