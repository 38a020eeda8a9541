"""Pictures of what came out, for those who would rather look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pipeline.frames import mel_seconds
from ..store.plot import draw_mel

Panel = tuple[str, NDArray[Any], NDArray[Any]]  # title, ln mel (M, bins), f0 in Hz (M,)


def save_comparison(path: Path, *panels: Panel, seconds: float | None = None) -> None:
    """Mels with their f0, one above the other on one time axis, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.2 * len(panels)), layout="constrained")
    for axes, (title, mel, f0) in zip(np.atleast_1d(figure.subplots(len(panels), 1)), panels, strict=True):
        draw_mel(axes, mel, f0, mel_seconds(len(mel)) if seconds is None else seconds)
        axes.set_title(title)
    axes.set_xlabel("seconds")
    figure.savefig(path, dpi=100, format="png")
