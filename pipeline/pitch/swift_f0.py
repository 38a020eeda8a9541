"""SwiftF0 (Nieradzik, 2025, arXiv 2508.18440), refined by StoneMask: a network of 14,386 weights, in its own wheel.

It takes 16 kHz and gives a pitch and a confidence every 16 ms, between 47 and 2094 Hz. Frame i is centred at 16 i ms,
and depends on the sound within 176 ms of it. Its pitch has an error of a few cents; StoneMask refines it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from ..frames import CONTENT_RATE, MEL_HOP, MEL_RATE, mel_centres
from .centres import at_centres, refined
from .swift_f0_network import HOP, SHA256, SwiftF0Network
from .tracker import CPU, F0, MissingLibraryError, Tracker, file_hash, package_file

if TYPE_CHECKING:
    from swift_f0 import SwiftF0

LOWEST_HZ, HIGHEST_HZ = 46.875, 2093.75  # the range of the network's pitches
NARROWEST = 1.05  # least ratio of highest to lowest f0 that can be searched for: the network's steps are 1.041
VOICED_FROM = 0.5  # confidence
# The network does not normalise its input, and misses soft voices but not loud ones. A fixed gain, unlike a
# normalisation, makes no frame depend on how loud others are.
GAIN = 8.0


def model_file() -> Path:
    """The network's ONNX file: takes `audio` (1, T) at 16 kHz, `fmin` and `fmax` in Hz; gives pitch and confidence.

    MIT licence. Raises MissingLibraryError.
    """
    return package_file("swift_f0", "model.onnx", "swift-f0", "dio")


class SwiftF0Tracker(Tracker):
    """The default."""

    def __init__(self) -> None:
        super().__init__()
        self._detector: SwiftF0 | None = None
        self._networks: dict[torch.device, SwiftF0Network | None] = {}  # None: the file is of another version

    def track(self, wav: NDArray[np.float32], f0_min: float, f0_max: float, device: torch.device = CPU) -> F0:
        rough, seconds = self.estimate(wav, f0_min, f0_max, device)
        f0 = at_centres(rough, seconds, mel_centres(0, len(wav) // MEL_HOP))
        f0[(f0 < f0_min) | (f0 > f0_max)] = 0.0
        return refined(wav, f0)

    def estimate(
        self, wav: NDArray[np.float32], f0_min: float, f0_max: float, device: torch.device = CPU
    ) -> tuple[F0, F0]:
        """The network's own result.

        Args:
            wav: float32 (T,) at 44.1 kHz.
            f0_min: lowest f0 to search for, in Hz.
            f0_max: highest. Where the range is too narrow for the network, or beyond it, f0 may lie outside.
            device: the CPU, by onnxruntime, or another, by torch: that differs by less than 0.001 cents.

        Returns:
            f0 (F,) in Hz, 0 where unvoiced, and its frames' centres (F,) in seconds.
        """
        signal = soxr.resample(wav, MEL_RATE, CONTENT_RATE) * np.float32(GAIN)
        lowest = min(max(f0_min, LOWEST_HZ), HIGHEST_HZ / NARROWEST)
        highest = max(f0_max, lowest * NARROWEST)
        if device.type != "cpu" and len(signal) and (network := self.network(device)) is not None:
            pitch, confidence = network(torch.from_numpy(signal).to(device), lowest, highest)
            f0 = torch.where(confidence >= VOICED_FROM, pitch, 0.0).cpu().numpy()
            return f0, np.arange(len(f0), dtype=np.float64) * (HOP / CONTENT_RATE)
        found = self.detector().detect(signal, CONTENT_RATE, lowest, highest)
        return np.where(found.confidence >= VOICED_FROM, found.pitch_hz, 0.0), found.timestamps

    def weights(self) -> str:
        return file_hash(model_file())

    def network(self, device: torch.device) -> SwiftF0Network | None:
        """The network in torch; None if the installed weights are not those that it was written for."""
        with self.lock:
            if device not in self._networks:
                path = model_file()
                self._networks[device] = SwiftF0Network(path, device) if file_hash(path) == SHA256 else None
            return self._networks[device]

    def detector(self) -> SwiftF0:
        """The network, loaded at the first call. A call uses one core."""
        with self.lock:
            if self._detector is None:
                model_file()
                try:
                    from swift_f0 import SwiftF0
                except ImportError as error:
                    raise MissingLibraryError(
                        f"f0 method 'swift-f0' needs a library that cannot be imported: {error}",
                        "Install it: pip install swift-f0. Or take dio (docs/f0.md compares them)",
                    ) from error
                self._detector = SwiftF0(threads=1)
            return self._detector
