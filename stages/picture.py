"""Pictures of what came out, for those who would rather look."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

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
QUIETEST_DB = -80.0  # that is drawn
Panel = tuple[str, NDArray[Any], NDArray[Any]]  # title, ln mel (M, bins), f0 in Hz (M,)


def save_comparison(path: Path | IO[bytes], *panels: Panel, seconds: float | None = None) -> None:
    """Mels with their f0, one above the other on one time axis, as a PNG."""
    from matplotlib.figure import Figure

    with _fonts():
        figure = Figure(figsize=(12, 3.2 * len(panels)), layout="constrained")
        for axes, (title, mel, f0) in zip(np.atleast_1d(figure.subplots(len(panels), 1)), panels, strict=True):
            draw_mel(axes, mel, f0, mel_seconds(len(mel)) if seconds is None else seconds)
            axes.set_title(title)
        axes.set_xlabel("seconds")
        figure.savefig(path, dpi=100, format="png")


def save_song(
    path: Path,
    source: tuple[str, PooledFeatures],
    result: tuple[str, PooledFeatures],
    asked: PooledFeatures,
    seconds: float,
) -> None:
    """A song and what was sung of it, as a PNG: both mels with their f0, the asked and the sung f0, both loudnesses."""
    from matplotlib.figure import Figure

    with _fonts():
        figure = Figure(figsize=(14, 10), layout="constrained")
        rows = figure.subplots(4, 1, sharex=True, height_ratios=[3, 3, 2.4, 1.4])
        for axes, (title, strip) in zip(rows, (source, result), strict=False):
            draw_mel(axes, strip.mel, strip.f0, seconds)
            axes.set_title(title)
        at = (np.arange(len(asked.f0)) + 0.5) * seconds / len(asked.f0)
        lines = (
            ("the song's", source[1], "0.7", 1.0),
            ("asked", asked, "tab:orange", 2.6),
            ("sung", result[1], "k", 1.0),
        )
        for label, strip, colour, width in lines:
            rows[2].plot(at, np.where(strip.f0 > 0, strip.f0, np.nan), color=colour, linewidth=width, label=label)
        rows[2].set_yscale("log")
        rows[2].set_ylabel("f0, Hz")
        rows[2].legend(loc="upper right", ncols=3, framealpha=0.5, fontsize="small")
        for label, strip, colour, width in (lines[0], lines[2]):
            rows[3].plot(at, np.maximum(strip.loudness, QUIETEST_DB), color=colour, linewidth=width, label=label)
        rows[3].set_ylabel("loudness, dBFS")
        rows[3].set_xlabel("seconds")
        figure.savefig(path, dpi=80, format="png")


@contextmanager
def _fonts() -> Iterator[None]:
    """Songs have names in any script, and the default font knows few of them."""
    from matplotlib import font_manager, rc_context

    there = {font.name for font in font_manager.fontManager.ttflist}
    fonts = ["DejaVu Sans", *(name for name in EAST_ASIAN_FONTS if name in there)]
    with rc_context({"font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


class PooledFeatures:
    """Mel, f0 and loudness for a picture: neighbouring frames are pooled so that any song fits its width."""

    def __init__(self, count: int):
        self.pool = max(1, -(-count // COLUMNS))
        columns = -(-count // self.pool)
        self.mel = np.full((columns, mels.N_MELS), np.log(mels.FLOOR), np.float32)
        self.f0 = np.zeros(columns, np.float32)
        self.loudness = np.full(columns, QUIETEST_DB, np.float32)

    def put(
        self,
        start: int,
        log_mel: NDArray[np.float32] | None,
        f0: NDArray[np.float32],
        loudness: NDArray[np.float32] | None = None,
    ) -> None:
        """Frames from `start` on: mel and loudness are averaged, of f0 a voiced value is kept."""
        columns = np.arange(start, start + len(f0)) // self.pool
        first, last = columns[0], columns[-1] + 1
        counts = np.bincount(columns - first)
        begins = np.r_[0, np.cumsum(counts)[:-1]]
        if log_mel is not None:
            self.mel[first:last] = np.add.reduceat(log_mel, begins, axis=0) / counts[:, None]
        if loudness is not None:
            self.loudness[first:last] = np.add.reduceat(loudness, begins) / counts
        voiced = f0 > 0
        self.f0[columns[voiced]] = f0[voiced]
