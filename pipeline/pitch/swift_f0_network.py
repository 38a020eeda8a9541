"""The network of SwiftF0 (Nieradzik, 2025, arXiv 2508.18440) in torch, so that it can run on a GPU.

Its weights are read from the model.onnx of the package swift-f0, by the names that they have in the one file that this
was written for (`SHA256`). Structure: three log spectra of 128 bands (windows of 1024, 2048 and 512 samples, a frame
every 256), residual convolutions along frequency, then 95 scores of log-spaced pitches and one of voicing a frame.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoints.onnx_tensors import read_onnx_tensors
from ..full_precision import full_precision

SHA256 = "6385e8c2ebc3872e82c9ff5946228de44cd3be77a750ea53698b7dbfe94b0a22"
HOP = 256  # samples at 16 kHz
BANDS, SCORED_BANDS = 128, 96
SILENCE_PEAK = 1e-3  # frames whose samples stay below are unvoiced
FLOOR = 1e-8  # added to the magnitude of a band

# Tensors by their names in the file. Of each spectrum: its size, its window, the places and values of its bands.
SPECTRA = ((1024, "v41", "v123", "v124"), (2048, "v161", "v241", "v242"), (512, "v262", "v342", "v343"))
# Pairs of convolutions with a shortcut around them: the names of their weights, and their step along frequency.
BLOCKS = (
    ("v357", "v361", 1),
    ("v366", "v370", 17),
    ("v375", "v379", 27),
    ("v384", "v388", 40),
    ("v393", "v397", 48),
    ("v402", "v406", 2),
)


class SwiftF0Network:
    """The network on one device, in float32. Any number of threads may use it."""

    def __init__(self, path: Path, device: torch.device):
        """`path` is the model.onnx whose sha256 is `SHA256`. Raises ValueError if it cannot be read."""
        found = {name: torch.from_numpy(array) for name, array in read_onnx_tensors(path).items()}
        self._spectra = []
        for size, window, places, values in SPECTRA:
            bank = torch.zeros((size // 2 + 1) * BANDS)
            bank[found[places].long()] = found[values]
            self._spectra.append((size, found[window].to(device), bank.view(-1, BANDS).to(device)))
        weights = [name for name, tensor in found.items() if tensor.dtype == torch.float32 and tensor.dim() > 0]
        self._weights = {name: found[name].to(device) for name in weights}
        self._hertz = found["v438"].to(device)  # float32 [95]
        self._neighbours = torch.tensor([-1, 0, 1]).to(device)
        self._log_hertz = found["v455"].to(device)  # float64 [95]

    @torch.inference_mode()
    def __call__(self, signal: Tensor, f0_min: float, f0_max: float) -> tuple[Tensor, Tensor]:
        """Pitch and voicing of a recording.

        Args:
            signal: float32 [T] at 16 kHz on the device, T at least 1.
            f0_min: lowest f0 to search for, in Hz.
            f0_max: highest; at least one of the network's pitches must lie within the range.

        Returns:
            float64 [F] in Hz and float32 [F] within 0 to 1, for F = max(1, T // 256) frames; frame i is centred at
            256 i samples. A pitch counts where the second is 0.5 or more.
        """
        with full_precision():
            scores, voicing = self._scores(self._log_spectra(signal))
        wanted = (self._hertz >= f0_min) & (self._hertz <= f0_max)
        confidence = torch.where(wanted[scores.argmax(1)], torch.sigmoid(voicing), 0.0)
        hops = signal[: len(scores) * HOP].view(len(scores), -1)
        confidence = torch.where(hops.abs().amax(1) < SILENCE_PEAK, 0.0, confidence)
        return self._pitch(torch.where(wanted, scores, -torch.inf)), confidence

    def _log_spectra(self, signal: Tensor) -> Tensor:
        """float32 [T] -> [1, 3, 128, F], ln magnitude."""
        count = max(1, len(signal) // HOP)
        found = []
        for size, window, bank in self._spectra:
            after = max(0, (count - 1) * HOP + size // 2 - len(signal))
            steps = F.pad(signal, (size // 2, after)).unfold(0, size, HOP)[:count]
            found.append((torch.fft.rfft(steps * window).abs() @ bank + FLOOR).log().T)
        return torch.stack(found)[None]

    def _scores(self, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """[1, 3, 128, F] -> the scores of the pitches [F, 95] and of voicing [F], before their softmax and sigmoid."""
        x = self._convolved("v353", spectra).relu()
        for one, other, step in BLOCKS:
            x = (x + self._convolved(other, self._convolved(one, x, step).relu(), step)).relu()
        x = F.pad(x[:, :, :SCORED_BANDS], (1, 1, 1, 0))
        x = F.conv2d(x, self._weights["v413"], self._weights["v414"]).relu()
        scores = self._convolved("v425", x)[0, 0].T
        summary = torch.cat([self._convolved("v417", x).amax(2), spectra.mean((1, 2))[None]], 1)
        hidden = F.conv1d(summary, self._weights["v430"], self._weights["v431"], padding=1).relu()
        return scores, F.conv1d(hidden, self._weights["v434"], self._weights["v435"])[0, 0]

    def _convolved(self, name: str, x: Tensor, step: int = 1) -> Tensor:
        """A convolution over [1, C, bands, F] that keeps the size; `step` is its dilation along the bands."""
        weight, bias = self._weights[name], self._weights[f"v{int(name[1:]) + 1}"]
        height, width = weight.shape[2:]
        return F.conv2d(x, weight, bias, padding=(height // 2 * step, width // 2), dilation=(step, 1))

    def _pitch(self, scores: Tensor) -> Tensor:
        """[F, 95], -inf outside of the range -> float64 [F] Hz: the mean log of the best pitch and its neighbours."""
        near = scores.argmax(1, keepdim=True) + self._neighbours
        weights = F.pad(scores, (1, 1), value=-torch.inf).gather(1, near + 1).double().softmax(1)
        return (weights * self._log_hertz[near.clamp(0, len(self._log_hertz) - 1)]).sum(1).exp()
