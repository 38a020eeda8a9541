"""The inputs of benchmarks/gpu.py: synthetic singing, encoders and acoustic models, the same on every device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from svc.data.singers import draw_score, draw_voice, sing
from svc.pipeline import frames, mel
from svc.pipeline.diffusion.batch import Batch
from svc.pipeline.diffusion.diffusion import Diffusion
from svc.pipeline.diffusion.rectified_flow import RectifiedFlow
from svc.pipeline.diffusion.shape import ModelShape
from svc.pipeline.encoder.content import ContentEncoder
from svc.pipeline.encoder.registry import load_encoder
from svc.pipeline.projection import SoftHead, SoftProjection
from svc.stages.settings import PRESETS


def songs(seconds: float) -> list[NDArray[np.float32]]:
    """Synthetic singing: float32 (T,) at 44.1 kHz, clips of 2 to 14 s."""
    found: list[NDArray[np.float32]] = []
    voices = [draw_voice(seed, high=bool(seed % 2), name=str(seed)) for seed in range(2)]
    lengths = (2.0, 5.0, 9.0, 14.0)
    made = [sing(draw_score("en", lengths[n % 4], n), voices[n % 2], n).astype(np.float32) for n in range(8)]
    while sum(map(len, found)) < seconds * frames.MEL_RATE:
        found.append(made[len(found) % len(made)] * np.float32(1 - 0.01 * (len(found) // len(made) % 20)))
    return found


def random_hubert(folder: Path) -> str:
    """Save a HuBERT of base shape with random weights; returns its folder."""
    import transformers

    torch.manual_seed(0)
    transformers.HubertModel(transformers.HubertConfig()).save_pretrained(folder)
    return str(folder)


def loaded(folder: str, device: str, precision: str) -> ContentEncoder:
    """The encoder, with a soft head if it has none: the same one on every device."""
    found = load_encoder(folder, device, precision)
    if found.head is None:
        torch.manual_seed(0)
        found.head = SoftHead(SoftProjection(found.hidden_size)).to(found.device, torch.float32)
    return found


def training_batch(device: torch.device, size: int = 32, length: int = 172) -> Batch:
    """Random features of crops of 2 s."""
    g = torch.Generator().manual_seed(0)
    units = torch.randn(size, length, 256, generator=g)
    tensors = {
        "units": units, "mel2ph": torch.arange(1, length + 1).repeat(size, 1),
        "f0": 220 * 2 ** torch.rand(size, length, generator=g), "voiced": torch.ones(size, length),
        "loudness": -20 * torch.rand(size, length, generator=g), "mask": torch.ones(size, length),
        "speaker": torch.zeros(size, dtype=torch.int64), "mel": -4 + 2 * torch.randn(size, length, 128, generator=g),
    }  # fmt: skip
    return Batch(**{name: tensor.to(device) for name, tensor in tensors.items()})


def acoustic_model(device: torch.device) -> Diffusion:
    """The `base` model with random weights, the same on every device."""
    torch.manual_seed(0)
    shape = ModelShape(256, 1, mel.N_MELS, architecture=PRESETS["base"].architecture)
    model = Diffusion(shape, RectifiedFlow())
    with torch.no_grad():
        for parameter in model.parameters():  # its last layer begins as zeros, which would hide differences
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.to(device)
