"""Reading OpenVPI's vocoder checkpoints: config.json and a file of {"generator": state_dict}; nothing in it can run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import mel
from ..checkpoints.config_fields import Check, choice, flag, number, read_fields, whole, wholes
from ..checkpoints.regular_files import check_regular, read_json_object
from ..checkpoints.torch_file import describe, read_checkpoint_file
from ..frames import MEL_HOP, MEL_RATE
from .nsf_hifigan import Generator, NsfHifiGan, Shape
from .vocoder import VocoderError

ENDINGS = (".ckpt", ".pt", ".pth", ".bin")
EXPECTED = (
    "expected a folder with config.json and a checkpoint such as model.ckpt, as OpenVPI's vocoder releases have it, "
    "or the path of that checkpoint"
)
# Their names of the mel's settings, and our values.
MEL = {
    "sampling_rate": MEL_RATE,
    "num_mels": mel.N_MELS,
    "hop_size": MEL_HOP,
    "n_fft": mel.N_FFT,
    "win_size": mel.N_FFT,
    "fmin": mel.F_MIN,
    "fmax": mel.F_MAX,
}
MOST_STAGES = 12  # of upsampling, of blocks at each, of dilations in each; releases have 5, 3 and 3


def _dilations(value: Any) -> str:
    inner = wholes(1, 64, MOST_STAGES)
    good = isinstance(value, list) and 1 <= len(value) <= MOST_STAGES and not any(map(inner, value))
    return "" if good else f"a list of up to {MOST_STAGES} lists of numbers from 1 to 64"


SHAPE_FIELDS: dict[str, Check] = {
    "resblock": choice("1"),
    "upsample_rates": wholes(1, 64, MOST_STAGES),
    "upsample_kernel_sizes": wholes(1, 256, MOST_STAGES),
    "upsample_initial_channel": whole(2, 1 << 16),
    "resblock_kernel_sizes": wholes(1, 63, MOST_STAGES),
    "resblock_dilation_sizes": _dilations,
    **{name: number(0, 1e6) for name in MEL},
}
OPTIONAL_FIELDS: dict[str, Check] = {"mini_nsf": flag, "noise_sigma": number(0, 10)}


def load(path: Path, device: str = "cpu", bf16: bool = False) -> NsfHifiGan:
    """Load a vocoder from its folder or file.

    Shapes are compared with the tensors in the file before the network takes any memory.

    Raises:
        VocoderError: it is not there, damaged, of another kind, or was trained on another mel than the stores hold.
    """
    file = _checkpoint(path)
    shape = _read_config(path, file)
    try:
        check_regular(file)
        state = read_checkpoint_file(file)
    except (OSError, ValueError) as error:
        raise VocoderError(f"{file} cannot be read: {error}") from error
    if not isinstance(state, dict) or not isinstance(state.get("generator"), dict):
        raise VocoderError(f"{file} holds {describe(state)}; a dict with `generator` is expected: {EXPECTED}")
    tensors = state["generator"]
    with torch.device("meta"):
        generator = Generator(shape)
    if differ := _differences(generator, tensors):
        raise VocoderError(f"{file} does not fit its config.json: {differ}")
    generator.load_state_dict(fold_weight_norm(tensors), assign=True)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return NsfHifiGan(generator, {"path": str(file.absolute()), "sha256": digest}, device, bf16)


def _checkpoint(path: Path) -> Path:
    if not path.exists():
        raise VocoderError(f"there is no vocoder at {path}: {EXPECTED}")
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix in ENDINGS or file.name == "model")
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise VocoderError(f"{path} holds {len(found)} checkpoints ({names}): {EXPECTED}")
    return found[0]


def _read_config(path: Path, file: Path) -> Shape:
    """The shape that config.json beside the checkpoint describes. Raises VocoderError."""
    config_file = file.with_name("config.json")
    try:
        config = {name: value for name, value in read_json_object(config_file).items() if value is not None}
        if missing := SHAPE_FIELDS.keys() - config.keys():
            raise ValueError(f"it has no {', '.join(sorted(missing))}")
        fields = read_fields(config, SHAPE_FIELDS | OPTIONAL_FIELDS)
        shape = _shape(fields)
    except FileNotFoundError as error:
        raise VocoderError(f"{file} has no config.json beside it: {EXPECTED}") from error
    except (OSError, ValueError) as error:
        raise VocoderError(f"{config_file} is no vocoder's: {error}") from error
    differ = [f"  {name}: {fields[name]!r} there, {ours} here" for name, ours in MEL.items() if fields[name] != ours]
    if differ:
        raise VocoderError(
            f"{path} was trained on another mel than this project's stores and models hold:\n"
            + "\n".join(differ)
            + "\nUse a vocoder for 44.1 kHz, 128 bins and hop 512"
        )
    return shape


def _shape(fields: Mapping[str, Any]) -> Shape:
    shape = Shape(
        rates=tuple(fields["upsample_rates"]),
        kernels=tuple(fields["upsample_kernel_sizes"]),
        channels=fields["upsample_initial_channel"],
        block_kernels=tuple(fields["resblock_kernel_sizes"]),
        block_dilations=tuple(map(tuple, fields["resblock_dilation_sizes"])),
        bins=int(fields["num_mels"]),
        sample_rate=int(fields["sampling_rate"]),
        mini=fields.get("mini_nsf", False),
        noise_sigma=float(fields.get("noise_sigma", 0.0)),
    )
    if torch.tensor(shape.rates).prod() != fields["hop_size"] or len(shape.rates) != len(shape.kernels):
        raise ValueError(f"upsample_rates {list(shape.rates)} do not make a hop of {fields['hop_size']}")
    if shape.channels % 2 ** len(shape.rates) or len(shape.block_kernels) != len(shape.block_dilations):
        raise ValueError(f"{shape.channels} channels cannot be halved {len(shape.rates)} times, or blocks do not match")
    return shape


# PyTorch's spellings of weight norm: a weight's lengths, and its directions.
SPELLINGS = {"weight_g": "weight_v", "parametrizations.weight.original0": "parametrizations.weight.original1"}


def _differences(generator: Generator, tensors: Mapping[Any, Any]) -> str:
    """How tensors differ from what a generator has, in names and shapes, or ''."""
    found: dict[str, tuple[int, ...]] = {}
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            return f"{str(name)[:80]!r} holds {describe(value)}, not a tensor"
        if ending := next((ending for ending in SPELLINGS.values() if name.endswith(ending)), None):
            found[name.removesuffix(ending) + "weight"] = tuple(value.shape)
        elif not name.endswith(tuple(SPELLINGS)):
            found[name] = tuple(value.shape)
        elif (direction := _direction(name)) not in tensors:
            return f"{name} has no {direction} beside it"
    wanted = {name: tuple(value.shape) for name, value in generator.state_dict().items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            there, expected = (shapes.get(name, "nothing") for shapes in (found, wanted))
            return f"{name[:80]} is {there}, expected {expected}"
    return ""


def _direction(length: str) -> str:
    """The name of the directions that belong to a weight's lengths."""
    ending = next(ending for ending in SPELLINGS if length.endswith(ending))
    return length.removesuffix(ending) + SPELLINGS[ending]


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights from their directions and lengths (Salimans and Kingma, 2016, arXiv 1602.07868): w = g v / |v|.

    Both of PyTorch's spellings are read; weights that are folded already are unchanged.
    """
    folded = {}
    for name, value in state.items():
        if name.endswith(tuple(SPELLINGS.values())):
            continue
        if name.endswith(tuple(SPELLINGS)):
            v = state[_direction(name)].float()
            norm = v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))
            stem = name.removesuffix(next(ending for ending in SPELLINGS if name.endswith(ending)))
            folded[stem + "weight"] = value.float() * v / norm
        else:
            folded[name] = value.float().clone()
    return folded
