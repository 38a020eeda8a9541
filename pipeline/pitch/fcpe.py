"""FCPE (Luo et al., 2025, arXiv 2509.15140), by the package torchfcpe, refined by StoneMask."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from ..frames import CONTENT_RATE, MEL_HOP, MEL_RATE, mel_centres
from .centres import at_centres, refined
from .tracker import CPU, F0, MissingLibraryError, Tracker, file_hash, package_file

HOP_SECONDS = 0.01  # frame i is centred at 10 i ms
VOICED_FROM = 0.006  # its authors' threshold


class Fcpe(Tracker):
    """FCPE as DDSP-SVC and its relatives use it."""

    def __init__(self) -> None:
        super().__init__()
        self._models: dict[torch.device, Any] = {}

    def track(self, wav: NDArray[np.float32], f0_min: float, f0_max: float, device: torch.device = CPU) -> F0:
        model = self._loaded(device)
        signal = np.clip(soxr.resample(wav, MEL_RATE, CONTENT_RATE), -1.0, 1.0)  # it prints values beyond the range
        with torch.inference_mode():
            found = model.infer(
                torch.from_numpy(signal)[None, :, None].to(device),
                sr=CONTENT_RATE,
                decoder_mode="local_argmax",
                threshold=VOICED_FROM,
                f0_min=f0_min,
                interp_uv=False,
            )
        rough = found[0, :, 0].double().cpu().numpy()
        rough = np.where((rough >= f0_min) & (rough <= f0_max), rough, 0.0)
        seconds = HOP_SECONDS * np.arange(len(rough), dtype=np.float64)
        return refined(wav, at_centres(rough, seconds, mel_centres(0, len(wav) // MEL_HOP)))

    def weights(self) -> str:
        return file_hash(package_file("torchfcpe", "assets/fcpe_c_v001.pt", "fcpe", "swift-f0"))

    def _loaded(self, device: torch.device) -> Any:
        with self.lock:
            if device not in self._models:
                package_file("torchfcpe", "assets/fcpe_c_v001.pt", "fcpe", "swift-f0")
                try:
                    with contextlib.redirect_stdout(io.StringIO()):  # it prints advice
                        from torchfcpe import spawn_bundled_infer_model

                        self._models[device] = spawn_bundled_infer_model(device=str(device))
                except ImportError as error:
                    raise MissingLibraryError(
                        f"f0 method 'fcpe' needs a library that cannot be imported: {error}",
                        "Install it: pip install torchfcpe. Or take swift-f0 (docs/f0.md compares them)",
                    ) from error
            return self._models[device]
