"""A picture of one clip."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def plot_features(
    title: str,
    seconds: float,
    mel: NDArray[Any],
    f0: NDArray[Any],
    loudness: NDArray[Any],
    hidden: tuple[str, NDArray[Any]] | None,
    path: str | Path | None = None,
) -> Any:
    """The mel with f0 over it, loudness, and a hidden layer by name, on one time axis.

    A matplotlib Figure, which a notebook shows as it is.
    """
    from matplotlib.figure import Figure

    class Picture(Figure):
        """Without pyplot, so that no state is left behind: then a figure must say itself how it is shown."""

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
    pitch.set_yscale("log")
    pitch.set_ylim(50, 1200)
    pitch.set_ylabel("f0, Hz")


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
