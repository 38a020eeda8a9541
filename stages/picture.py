"""Pictures of what came out, for those who would rather look."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pipeline import mel as mels
from ..pipeline.frames import mel_seconds
from ..store.plot import draw_mel

EAST_ASIAN_FONTS = (
    "Noto Sans CJK KR",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Hiragino Sans",
)
COLUMNS = 4_000  # of a picture, at most
Panel = tuple[str, NDArray[Any], NDArray[Any]]  # title, ln mel (M, bins), f0 in Hz (M,)


def save_comparison(path: Path, *panels: Panel, seconds: float | None = None) -> None:
    """Mels with their f0, one above the other on one time axis, as a PNG."""
    from matplotlib import font_manager, rc_context

    # Songs have names in any script, and the default font knows few of them.
    there = {font.name for font in font_manager.fontManager.ttflist}
    fonts = ["DejaVu Sans", *(name for name in EAST_ASIAN_FONTS if name in there)]
    with rc_context({"font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        _draw(path, panels, seconds)


def _draw(path: Path, panels: tuple[Panel, ...], seconds: float | None) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.2 * len(panels)), layout="constrained")
    for axes, (title, mel, f0) in zip(np.atleast_1d(figure.subplots(len(panels), 1)), panels, strict=True):
        draw_mel(axes, mel, f0, mel_seconds(len(mel)) if seconds is None else seconds)
        axes.set_title(title)
    axes.set_xlabel("seconds")
    figure.savefig(path, dpi=100, format="png")


class Strip:
    """A mel and its f0 for a picture: neighbouring frames are averaged so that any song fits its width."""

    def __init__(self, count: int):
        self.pool = max(1, -(-count // COLUMNS))
        columns = -(-count // self.pool)
        self.mel = np.full((columns, mels.N_MELS), np.log(mels.FLOOR), np.float32)
        self.f0 = np.zeros(columns, np.float32)

    def put(self, start: int, log_mel: NDArray[np.float32], f0: NDArray[np.float32]) -> None:
        columns = np.arange(start, start + len(f0)) // self.pool
        counts = np.bincount(columns - columns[0])
        sums = np.add.reduceat(log_mel, np.r_[0, np.cumsum(counts)[:-1]], axis=0)
        self.mel[columns[0] : columns[-1] + 1] = sums / counts[:, None]
        voiced = f0 > 0
        self.f0[columns[voiced]] = f0[voiced]
