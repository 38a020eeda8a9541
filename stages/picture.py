"""Pictures of results: mels, f0 and loudness."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..pipeline import mel as mels
from ..pipeline.frames import mel_seconds
from ..store.plot import draw_mel, note_axis

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
    path: Path | IO[bytes], source: Track, result: Track, target: NDArray[np.float32], seconds: float
) -> None:
    """A song and its conversion, as a PNG: both mels with their f0, the target f0 (M,), both loudnesses."""
    from matplotlib.figure import Figure

    with _fonts():
        figure = Figure(figsize=(13, 9))
        figure.subplots_adjust(0.08, 0.06, 0.92, 0.96, hspace=0.22)  # fixed: a computed layout draws everything twice
        rows = figure.subplots(4, 1, sharex=True, height_ratios=[3, 3, 2.4, 1.4])
        for axes, track in zip(rows, (source, result), strict=False):
            draw_mel(axes, track.mel.mel, pooled_f0(track.f0), seconds)
            axes.set_title(track.title)
        lines = (
            ("the song's", source.f0, "0.7", 1.0),
            ("target", target, "tab:orange", 2.6),
            ("sung", result.f0, "k", 1.0),
        )
        for label, f0, colour, width in lines:
            columns = pooled_f0(f0)
            at = (np.arange(len(columns)) + 0.5) * seconds / len(columns)
            rows[2].plot(at, np.where(columns > 0, columns, np.nan), color=colour, linewidth=width, label=label)
        note_axis(rows[2], *_pitch_limits(source.f0, target, result.f0))
        rows[2].grid(axis="y", color="0.9", linewidth=0.6)
        rows[2].legend(loc="upper right", ncols=3, framealpha=0.5, fontsize="small")
        for track, colour in ((source, "0.7"), (result, "k")):
            rows[3].plot(at, np.maximum(pooled_mean(track.loudness), QUIETEST_DB), color=colour, linewidth=1.0)
        rows[3].set_ylabel("loudness, dBFS")
        rows[3].set_xlabel("seconds")
        figure.savefig(path, dpi=80, format="png")


def _pitch_limits(*f0s: NDArray[np.float32]) -> tuple[float, float]:
    """Hz below and above all of some f0s by two semitones, at least an octave apart."""
    voiced = np.concatenate([f0[f0 > 0] for f0 in f0s])
    if len(voiced) == 0:
        return 100.0, 400.0
    low, high = (float(value) for value in np.percentile(voiced, [0.2, 99.8]))
    middle, room = np.sqrt(low * high), 2 ** (2 / 12)
    return min(low / room, middle / np.sqrt(2)), max(high * room, middle * np.sqrt(2))


@dataclass(frozen=True)
class Track:
    """A sound for a picture: its mel, f0 in Hz (frames,) with 0 = unvoiced, and loudness in dBFS (frames,)."""

    title: str
    mel: PooledMel
    f0: NDArray[np.float32]
    loudness: NDArray[np.float32]


@contextmanager
def _fonts() -> Iterator[None]:
    """Fonts for names of songs in any script: the default font has few of them."""
    from matplotlib import font_manager, rc_context

    there = {font.name for font in font_manager.fontManager.ttflist}
    fonts = ["DejaVu Sans", *(name for name in EAST_ASIAN_FONTS if name in there)]
    with rc_context({"font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


class PooledMel:
    """A ln mel for a picture, float32 (columns, 128): neighbouring frames are averaged, so that any song fits."""

    def __init__(self, count: int):
        self.pool = _pool(count)
        self.mel = np.full((-(-count // self.pool), mels.N_MELS), np.log(mels.FLOOR), np.float32)

    def put(self, start: int, log_mel: NDArray[np.float32]) -> None:
        """Frames (n, 128) from number `start` on."""
        columns = np.arange(start, start + len(log_mel)) // self.pool
        begins = np.flatnonzero(np.r_[True, np.diff(columns) > 0])
        counts = np.diff(np.r_[begins, len(columns)])
        self.mel[columns[0] : columns[-1] + 1] = np.add.reduceat(log_mel, begins, axis=0) / counts[:, None]


def pooled_f0(f0: NDArray[np.float32]) -> NDArray[np.float32]:
    """f0 in Hz (frames,) at a picture's columns: the last voiced value of each, 0 where there is none."""
    pool = _pool(len(f0))
    columns = np.zeros(-(-len(f0) // pool), np.float32)
    voiced = np.flatnonzero(f0 > 0)
    columns[voiced // pool] = f0[voiced]
    return columns


def pooled_mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values (frames,) at a picture's columns: the mean of each."""
    begins = np.arange(0, len(values), _pool(len(values)))
    mean: NDArray[np.float32] = np.add.reduceat(values, begins) / np.diff(np.r_[begins, len(values)])
    return mean


def _pool(count: int) -> int:
    """Frames in a column."""
    return max(1, -(-count // COLUMNS))
