"""TensorBoard: numbers, pictures and sound of a training, in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...pipeline.frames import MEL_RATE
from ...pipeline.vocoder.pulse_noise import PulseNoise


class TensorBoard:
    """Writes to a folder, or nothing where there is none, or TensorBoard is not installed."""

    def __init__(self, folder: Path | None):
        self.folder = folder
        self._writer: Any = None

    def __enter__(self) -> TensorBoard:
        if self.folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return self
            self._writer = SummaryWriter(str(self.folder))
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    @property
    def open(self) -> bool:
        """Whether anything is written: only by the main process, and if it was asked for."""
        return self._writer is not None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write figures of a step by name."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def song(self, step: int, name: str, mel: NDArray[np.float32], f0: NDArray[np.float32]) -> None:
        """A mel (M, bins) in ln magnitude as a picture, and as sound with f0 (M,), 0 where unvoiced."""
        if self._writer is not None:
            picture = (mel.T[::-1] - mel.min()) / max(1e-6, float(np.ptp(mel)))
            self._writer.add_image(name, picture, step, dataformats="HW")
            wav = PulseNoise()(mel, f0)
            self._writer.add_audio(name, wav / max(1e-6, float(np.abs(wav).max())), step, MEL_RATE)
