"""A picture of one clip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .reader import Clip


def plot_clip(clip: Clip, path: str | Path | None = None) -> Any:
    """The mel with f0 over it, loudness, and the deepest hidden layer, on one time axis. A matplotlib Figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[4, 1, 3])
    f0, seconds = clip.f0, clip.seconds
    draw_mel(top, clip.mel, f0, seconds)
    top.set_title(f"{clip.id} ({clip.speaker}, {seconds:.2f} s)")
    times = (np.arange(len(f0)) + 0.5) * seconds / max(1, len(f0))
    middle.plot(times, clip.loudness, color="black", linewidth=0.8)
    middle.set_ylabel("loudness\ndBFS")
    layers = sorted(int(name.split("/")[1]) for name in clip.store.columns if name.startswith("hidden/"))
    if layers:
        hidden = clip.hidden(layers[-1]).astype(np.float32)
        spread = hidden.std(0) + 1e-6
        bottom.imshow(
            ((hidden - hidden.mean(0)) / spread).T,
            aspect="auto",
            origin="lower",
            extent=(0, seconds, 0, hidden.shape[1]),
            cmap="RdBu_r",
            vmin=-2.5,
            vmax=2.5,
            interpolation="nearest",
        )
        bottom.set_ylabel(f"hidden/{layers[-1]}\n(normalised)")
    bottom.set_xlabel("seconds")
    if path is not None:
        figure.savefig(path, dpi=100)
    return figure


def draw_mel(axes: Any, mel: Any, f0: Any, seconds: float) -> None:
    """A log mel (frames, bins) on an axis in seconds, with f0 in Hz over it on an axis of its own."""
    axes.imshow(
        np.asarray(mel, np.float32).T,
        aspect="auto",
        origin="lower",
        extent=(0, seconds, 0, mel.shape[1]),
        cmap="magma",
        vmin=-9,
        vmax=2,
        interpolation="nearest",
    )
    axes.set_ylabel("mel bin")
    pitch = axes.twinx()
    times = (np.arange(len(f0)) + 0.5) * seconds / max(1, len(f0))
    pitch.plot(times, np.where(np.asarray(f0) > 0, f0, np.nan), color="cyan", linewidth=1.2)
    pitch.set_yscale("log")
    pitch.set_ylim(50, 1200)
    pitch.set_ylabel("f0, Hz")
