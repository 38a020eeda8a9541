"""RMVPE (Wei et al., 2023, arXiv 2306.15412), refined by StoneMask: weights from a file of the user.

No package has its weights. RVC and so-vits-svc users have `rmvpe.pt`, a state dict that torch.save wrote; a safetensors
file with the same names works as well. It is given as `rmvpe:FILE`, or as `rmvpe:ID` of a hub repository that holds
`rmvpe.pt`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soxr
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..checkpoints.hub import HubError, hub_file
from ..checkpoints.regular_files import check_regular
from ..checkpoints.torch_file import describe, read_checkpoint_file, reason
from ..frames import CONTENT_RATE, MEL_HOP, MEL_RATE, mel_centres
from ..full_precision import full_precision
from .centres import at_centres, refined
from .rmvpe_network import MELS, RmvpeNetwork, network_of
from .salience import BINS, local_average, within_range
from .tracker import CPU, F0, MissingLibraryError, Tracker, file_hash

FFT, HOP = 1024, 160  # samples at 16 kHz; frame i is centred at 10 i ms
LOWEST_HZ, HIGHEST_HZ, FLOOR = 30.0, 8000.0, 1e-5  # of its mel, and the least magnitude
VOICED_FROM = 0.03  # salience, its users' threshold
NAME = "rmvpe.pt"  # in a hub repository


class Rmvpe(Tracker):
    """RMVPE with the weights that `model` names."""

    def __init__(self, model: str = ""):
        super().__init__(model)
        self._networks: dict[torch.device, RmvpeNetwork] = {}

    def track(self, wav: NDArray[np.float32], f0_min: float, f0_max: float, device: torch.device = CPU) -> F0:
        salience = within_range(self.salience(soxr.resample(wav, MEL_RATE, CONTENT_RATE), device), f0_min, f0_max)
        bins = salience.argmax(1)
        f0 = np.where(salience.max(1) > VOICED_FROM, local_average(salience, bins), 0.0)
        seconds = np.arange(len(f0), dtype=np.float64) * HOP / CONTENT_RATE
        return refined(wav, at_centres(f0, seconds, mel_centres(0, len(wav) // MEL_HOP)))

    @torch.inference_mode()
    def salience(self, signal: NDArray[np.float32], device: torch.device = CPU) -> NDArray[np.float32]:
        """float32 (T,) at 16 kHz -> (T // 160 + 1, 360)."""
        network = self.network(device)
        mel = log_mel(torch.from_numpy(signal)).to(device)
        multiple = 2**network.levels
        frames = mel.shape[1]
        # RVC pads by reflection; a recording shorter than the padding is padded with its last frame.
        after = -frames % multiple
        mel = F.pad(mel[None], (0, after), mode="reflect" if after < frames else "replicate")
        with full_precision():
            salience: NDArray[np.float32] = network(mel)[0, :frames].cpu().numpy()
        return salience

    def weights(self) -> str:
        return file_hash(self._file())

    def _file(self) -> Path:
        if not self.model:
            raise MissingLibraryError(
                "f0 method 'rmvpe' needs RMVPE's weights, which come with no package",
                f"Give the file that RVC and so-vits-svc use, as rmvpe:FOLDER/{NAME}; or take swift-f0, which needs "
                f"none and is as good (docs/f0.md compares them)",
            )
        path = Path(self.model).expanduser()
        try:
            if path.exists() or self.model.count("/") != 1 or self.model.endswith((".pt", ".safetensors")):
                check_regular(path)
                return path
            return hub_file(self.model, NAME)
        except HubError as error:
            raise MissingLibraryError(f"{NAME} of {self.model} {error.message}", error.hint) from error
        except (OSError, ValueError) as error:
            raise MissingLibraryError(f"RMVPE's weights cannot be read from {self.model}: {error}") from error

    def network(self, device: torch.device) -> RmvpeNetwork:
        """The network on a device, loaded at the first call. Raises MissingLibraryError."""
        with self.lock:
            if device not in self._networks:
                path = self._file()
                try:
                    found = load_file(path) if path.suffix == ".safetensors" else read_checkpoint_file(path)
                    if isinstance(found, dict) and isinstance(found.get("model"), dict):
                        found = found["model"]
                    if not isinstance(found, dict) or "fc.0.gru.weight_hh_l0" not in found:
                        raise ValueError(f"expected the tensors of RMVPE; found {describe(found)}")
                    network = network_of({k: v for k, v in found.items() if isinstance(v, Tensor)})
                except (OSError, ValueError, SafetensorError) as error:
                    raise MissingLibraryError(f"RMVPE cannot be loaded from {path}: {reason(error)}") from error
                if network.fc[1].out_features != BINS:
                    raise MissingLibraryError(f"RMVPE in {path} has {network.fc[1].out_features} bins, not {BINS}")
                self._network = network
                self._networks[device] = network.to(device)
            return self._networks[device]


def log_mel(signal: Tensor) -> Tensor:
    """RMVPE's mel: magnitude, 128 bands of HTK's scale from 30 to 8,000 Hz, natural log.

    float32 (T,) at 16 kHz -> (128, T // 160 + 1).
    """
    from torchaudio.functional import melscale_fbanks

    bank = melscale_fbanks(FFT // 2 + 1, LOWEST_HZ, HIGHEST_HZ, MELS, CONTENT_RATE, norm="slaney", mel_scale="htk")
    mode = "reflect" if len(signal) > FFT // 2 else "constant"
    spectrum = torch.stft(
        signal, FFT, HOP, window=torch.hann_window(FFT), center=True, pad_mode=mode, return_complex=True
    )
    return (bank.T @ spectrum.abs()).clamp(min=FLOOR).log()
