"""Reading OpenVPI's vocoder checkpoints: config.json and a file of {"generator": state_dict}; nothing in it can run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import mel
from ..checkpoints.torch_file import describe, read_checkpoint_file, reason
from ..frames import MEL_HOP, MEL_RATE
from .nsf_hifigan import Generator, NsfHifiGan, Shape
from .vocoder import VocoderError

ENDINGS = (".ckpt", ".pt", ".pth", ".bin")
EXPECTED = (
    "expected a folder with config.json and a checkpoint such as model.ckpt, as OpenVPI's vocoder releases have it, "
    "or the path of that checkpoint"
)
# Their names for what a mel is made with, and what ours is.
MEL = {
    "sampling_rate": MEL_RATE,
    "num_mels": mel.N_MELS,
    "hop_size": MEL_HOP,
    "n_fft": mel.N_FFT,
    "win_size": mel.N_FFT,
    "fmin": mel.F_MIN,
    "fmax": mel.F_MAX,
}


def load(path: Path, device: str = "cpu", bf16: bool = False) -> NsfHifiGan:
    """Load a vocoder from its folder or file.

    Raises:
        VocoderError: it is not there, damaged, of another kind, or was trained on another mel than the stores hold.
    """
    file = _checkpoint(path)
    config_file = file.with_name("config.json")
    try:
        config = json.loads(config_file.read_text("utf-8"))
        shape = _shape(config)
    except FileNotFoundError as error:
        raise VocoderError(f"{file} has no config.json beside it: {EXPECTED}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VocoderError(f"{config_file} is no vocoder's: {type(error).__name__}: {error}") from error
    differ = [
        f"  {name}: {config.get(name)!r} there, {ours} here" for name, ours in MEL.items() if config[name] != ours
    ]
    if differ:
        raise VocoderError(
            f"{path} was trained on another mel than this project's stores and models hold:\n"
            + "\n".join(differ)
            + "\nIt cannot sing them; use one for 44.1 kHz, 128 bins, hop 512, or --vocoder plain"
        )
    try:
        state = read_checkpoint_file(file)
    except ValueError as error:
        raise VocoderError(f"{file} cannot be read: {error}") from error
    if not isinstance(state, dict) or not isinstance(state.get("generator"), dict):
        raise VocoderError(f"{file} holds {describe(state)}; a dict with `generator` is expected: {EXPECTED}")
    generator = Generator(shape)
    try:
        generator.load_state_dict(fold_weight_norm(state["generator"]))
    except (RuntimeError, ValueError) as error:
        raise VocoderError(f"{file} does not fit its config.json: {reason(error)}") from error
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return NsfHifiGan(generator, {"path": str(file.absolute()), "sha256": digest}, device, bf16)


def _checkpoint(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise VocoderError(f"there is no vocoder at {path}: {EXPECTED}")
    found = sorted(file for file in path.iterdir() if file.suffix in ENDINGS or file.name == "model")
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise VocoderError(f"{path} holds {len(found)} checkpoints ({names}): {EXPECTED}")
    return found[0]


def _shape(config: dict[str, Any]) -> Shape:
    if config["resblock"] != "1":
        raise ValueError(f"resblock {config['resblock']!r}; only '1', which OpenVPI's have, is known")
    for name in MEL:
        config[name] = float(config[name]) if name in ("fmin", "fmax") else int(config[name])
    shape = Shape(
        rates=tuple(config["upsample_rates"]),
        kernels=tuple(config["upsample_kernel_sizes"]),
        channels=int(config["upsample_initial_channel"]),
        block_kernels=tuple(config["resblock_kernel_sizes"]),
        block_dilations=tuple(map(tuple, config["resblock_dilation_sizes"])),
        bins=config["num_mels"],
        sample_rate=config["sampling_rate"],
        mini=bool(config.get("mini_nsf", False)),
        noise_sigma=float(config.get("noise_sigma") or 0.0),
    )
    if torch.tensor(shape.rates).prod() != config["hop_size"] or len(shape.rates) != len(shape.kernels):
        raise ValueError(f"upsample_rates {list(shape.rates)} do not make a hop of {config['hop_size']}")
    return shape


def fold_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights from their directions and lengths (Salimans and Kingma, 2016, arXiv 1602.07868): w = g v / |v|.

    Both of PyTorch's spellings are known; what is folded already stays as it is.
    """
    spellings = {"weight_g": "weight_v", "parametrizations.weight.original0": "parametrizations.weight.original1"}
    folded = {}
    for name, value in state.items():
        if name.endswith(tuple(spellings.values())):
            continue
        for length, direction in spellings.items():
            if name.endswith(length):
                stem = name.removesuffix(length)
                v = state[stem + direction].float()
                norm = v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))
                folded[stem + "weight"] = value.float() * v / norm
                break
        else:
            folded[name] = value.float()
    return folded
