"""`LogSpectrum`: a complete content encoder in one file, registered by the tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from svc.pipeline.checkpoints.model_folder import ModelFolder
from svc.pipeline.encoder.content import ContentEncoder
from svc.pipeline.encoder.network import EncoderSettings, Network
from torch import Tensor


class LogSpectrum(ContentEncoder):
    """The log spectrum of the 400 samples around each centre, then products with random matrices."""

    model_type = "log-spectrum"
    short_names: ClassVar[Mapping[str, str]] = {"spectrum": "nobody/log-spectrum"}

    def __init__(self, weight: Tensor, settings: EncoderSettings):
        self.weight = weight
        super().__init__(settings, fingerprint=str(weight.double().sum().item()), hidden_size=201, layers=len(weight))

    @classmethod
    def from_folder(cls, folder: ModelFolder, settings: EncoderSettings) -> Self:
        return cls(folder.tensor("weight").float(), settings)

    def build_network(self, device: torch.device, dtype: torch.dtype) -> Network:
        return LogSpectrumNetwork(self.weight.to(device, dtype))


class LogSpectrumNetwork:
    bytes_per_sample = 4.0 * 400

    def __init__(self, weight: Tensor):
        self.weight = weight

    def __call__(self, wavs: Tensor, lengths: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        steps = F.pad(wavs, (40, 40)).unfold(1, 400, 320)
        states = [torch.log(torch.fft.rfft(steps).abs() + 1e-2).to(self.weight.dtype)]
        for weight in self.weight:
            states.append(torch.tanh(states[-1] @ weight))
        return {layer: states[layer] for layer in layers}


def save_spectrum(weight: Tensor, folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "log-spectrum"}))
    save_file({"weight": weight}, folder / "model.safetensors")
