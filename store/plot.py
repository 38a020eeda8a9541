"""A picture of one clip."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.text import note_name


def plot_features(
    title: str,
    seconds: float,
    mel: NDArray[Any],
    f0: NDArray[Any],
    loudness: NDArray[Any],
    hidden: tuple[str, NDArray[Any]] | None,
    path: str | Path | None = None,
) -> Any:
    """The mel (M, bins) with f0 (M,), loudness (M,), and a hidden layer (U, width) by name, on one time axis.

    A matplotlib Figure, which a notebook displays.
    """
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure without pyplot's global state; it therefore needs its own method to be displayed."""

        def _repr_png_(self) -> bytes:
            png = io.BytesIO()
            self.savefig(png, format="png", dpi=80)
            return png.getvalue()

    figure = Picture(figsize=(11, 7), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[4, 1, 3])
    draw_mel(top, mel, f0, seconds)
    top.set_title(title)
    middle.plot(_centres(f0, seconds), loudness, color="black", linewidth=0.8)
    middle.set_ylabel("loudness\ndBFS")
    if hidden is not None:
        name, states = hidden[0], hidden[1].astype(np.float32)
        _image(bottom, (states - states.mean(0)) / (states.std(0) + 1e-6), seconds, "RdBu_r", (-2.5, 2.5))
        bottom.set_ylabel(f"{name}\n(normalised)")
    bottom.set_xlabel("seconds")
    if path is not None:
        figure.savefig(path, dpi=100)
    return figure


def draw_mel(axes: Any, mel: Any, f0: Any, seconds: float) -> None:
    """A log mel (frames, bins) on an axis in seconds, with f0 in Hz over it on an axis of its own."""
    _image(axes, np.asarray(mel, np.float32), seconds, "magma", (-9, 2))
    axes.set_ylabel("mel bin")
    pitch = axes.twinx()
    pitch.plot(_centres(f0, seconds), np.where(np.asarray(f0) > 0, f0, np.nan), color="cyan", linewidth=1.2)
    note_axis(pitch, 50, 1200 if len(f0) == 0 or np.max(f0) < 1150 else 2200)


def note_axis(axes: Any, low: float, high: float) -> None:
    """A logarithmic axis from `low` to `high` Hz whose ticks are notes, named with their frequencies: `A4  440`."""
    from matplotlib.ticker import NullLocator

    lowest, highest = (69 + 12 * np.log2(hertz / 440) for hertz in (low, high))
    step = next((step for step in (2, 4) if (highest - lowest) / step <= 8), 12)
    notes = [note for note in range(int(np.ceil(lowest)), int(highest) + 1) if note % step == 0]
    hertz = [440 * 2 ** ((note - 69) / 12) for note in notes]
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticks(hertz, [f"{note_name(note)}  {at:.0f}" for note, at in zip(notes, hertz, strict=True)])
    axes.set_ylabel("f0, note and Hz")


def _image(axes: Any, values: NDArray[Any], seconds: float, colours: str, limits: tuple[float, float]) -> None:
    """Draw (frames, bins) with time to the right and bins upwards."""
    extent = (0, seconds, 0, values.shape[1])
    low, high = limits
    axes.imshow(
        values.T,
        aspect="auto",
        origin="lower",
        extent=extent,
        cmap=colours,
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )


def _centres(values: Any, seconds: float) -> NDArray[np.float64]:
    return (np.arange(len(values)) + 0.5) * seconds / max(1, len(values))
