"""Every content encoder of svc, and how one is found: by short name, hub id or path."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import torch

from ...common.records import RecordError, read_record
from ..checkpoints.hub import HubError, download_file, quiet, snapshot
from ..checkpoints.model_folder import ModelFolder
from ..checkpoints.regular_files import check_regular
from ..checkpoints.torch_file import describe, read_checkpoint_file, reason
from .content import ContentEncoder
from .data2vec import Data2VecAudio
from .hubert import Hubert
from .network import EncoderError, EncoderSettings, Recommended
from .wav2vec2 import Wav2Vec2
from .wavlm import WavLM
from .whisper import Whisper

ENCODERS: list[type[ContentEncoder]] = [Hubert, Whisper, WavLM, Wav2Vec2, Data2VecAudio]

FULL_PRECISION = "svc_full_precision"  # in a config.json: the model loses its content in 16 bits (data/mini does)
RECOMMENDED = "svc_recommended"  # in a config.json: a `Recommended`
SHIPPED = "svc.data/"  # prefix of a short name's value that is a folder of the package svc.data
FILE_ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
IN_A_FOLDER = ("config.json", "model.safetensors", "pytorch_model.bin")  # as save_pretrained names them
EXPECTED = (
    "expected a folder with config.json and model.safetensors, as a hub download or save_pretrained makes it, "
    "or a .pt file of HuBERT or ContentVec from fairseq, or of HuBERT-soft from bshall/hubert"
)


def register(encoder: type[ContentEncoder]) -> type[ContentEncoder]:
    """Register an encoder; usable as a decorator. Raises ValueError if its model_type or a short name is taken."""
    if encoder.model_type in {known.model_type for known in ENCODERS}:
        raise ValueError(f"an encoder of model_type {encoder.model_type!r} is registered already")
    if taken := encoder.short_names.keys() & short_names().keys():
        raise ValueError(f"the encoder name {min(taken)!r} is registered already")
    ENCODERS.append(encoder)
    return encoder


def short_names() -> dict[str, str]:
    """The meaning of each short name: a hub id, the address of a file, or `SHIPPED` and a folder of svc.data."""
    return {name: meant for encoder in ENCODERS for name, meant in encoder.short_names.items()}


def default_layers(model_type: str, count: int) -> tuple[int, ...]:
    """The layers, of `count`, that are stored of an encoder of that `model_type` unless others are asked for."""
    found = next((encoder for encoder in ENCODERS if encoder.model_type == model_type), ContentEncoder)
    return found.default_layers(count)


def recommended(name: str) -> Recommended:
    """How an encoder is best used, by its short name or folder: from its config.json, without loading its weights."""
    meant = short_names().get(name, name)
    path = _shipped(meant) if meant.startswith(SHIPPED) else Path(name)
    return _recommended(ModelFolder(path)) if (path / "config.json").is_file() else Recommended()


def load_encoder(
    name: str, device: str | torch.device = "cpu", precision: str = "fp32", allow_hub: bool = True
) -> ContentEncoder:
    """The encoder of that name, to compute on `device` in `precision`.

    Args:
        name: a short name (`short_names`), a hub id, a folder, or a .pt file.
        device: such as "cpu" or "cuda".
        precision: fp32, bf16 or fp16.
        allow_hub: whether it may be downloaded. Without, only what is on this machine is used, and no request is made:
            for a name that comes from a file of somebody else and not from the user.

    Raises:
        EncoderError: it is not there, incomplete, of an unknown kind, or has no frame every 20 ms.
        ValueError: an unknown precision.
    """
    quiet()
    meant = short_names().get(name, name)
    if meant.startswith(SHIPPED):
        path, origin = _shipped(meant), name
    elif meant.startswith("https://"):
        path, origin = _fetched(download_file, name, meant, allow_hub), name
    elif name in short_names() or not looks_like_path(name):
        path, origin = _fetched(snapshot, name, meant, allow_hub), meant
    else:
        path = _existing(Path(name).expanduser().absolute(), name)
        origin = str(path)
    settings = EncoderSettings(name, origin, device, precision)
    try:
        found = _from_folder(path, settings) if path.is_dir() else _from_file(path, settings)
    except EncoderError:
        raise
    except Exception as error:
        raise EncoderError(f"the encoder in {name} cannot be loaded: {reason(error)}") from error
    return found


def looks_like_path(name: str) -> bool:
    """Whether an encoder's name means a folder or file rather than a hub id such as `facebook/hubert-base-ls960`."""
    return (
        os.path.sep * 2 in name
        or name.startswith((".", "/", "~"))
        or name.endswith(FILE_ENDINGS)
        or name.count("/") != 1
        or Path(name).exists()
    )


def _fetched(fetch: Callable[[str, bool], Path], name: str, meant: str, allow_hub: bool) -> Path:
    called = meant if name == meant else f"{name!r} ({meant})"
    try:
        return fetch(meant, allow_hub)
    except HubError as error:
        raise EncoderError(f"encoder {called} {error.message}", error.hint) from error


def _existing(path: Path, name: str) -> Path:
    """The folder or file of a path. Raises EncoderError if there is no encoder in it."""
    folder = path.parent if path.is_file() and path.name in IN_A_FOLDER else path
    if (folder / "config.json").exists():
        return folder
    if path.exists() and not path.is_dir():
        return path
    names = ", ".join(short_names())
    raise EncoderError(f"no encoder in {name}: {EXPECTED}; or give a name ({names}) or a hub id")


def _shipped(meant: str) -> Path:
    return Path(str(files("svc.data") / meant.removeprefix(SHIPPED)))


def _recommended(folder: ModelFolder) -> Recommended:
    """Raises EncoderError for an entry that is none."""
    try:
        return read_record(Recommended, folder.config.get(RECOMMENDED, {}), RECOMMENDED)
    except RecordError as error:
        raise EncoderError(f"{folder.path / 'config.json'}: {error}") from error


def _from_folder(path: Path, settings: EncoderSettings) -> ContentEncoder:
    folder = ModelFolder(path)
    if folder.config.get(FULL_PRECISION) is True:
        settings = replace(settings, precision="fp32")
    settings = replace(settings, recommended=_recommended(folder))
    for encoder in ENCODERS:
        if encoder.model_type == folder.model_type:
            return encoder.from_folder(folder, settings)
    kinds = ", ".join(encoder.model_type for encoder in ENCODERS)
    raise EncoderError(f"{settings.name} is a {folder.model_type!r} model; expected one of {kinds}")


def _from_file(path: Path, settings: EncoderSettings) -> ContentEncoder:
    check_regular(path)
    if path.suffix in (".safetensors", ".json"):
        raise EncoderError(
            f"{settings.name} alone does not say what model it is of: give the folder that has both model.safetensors "
            f"and config.json, as a hub download or save_pretrained makes it"
        )
    found = read_checkpoint_file(path)
    for encoder in ENCODERS:
        if (loaded := encoder.from_checkpoint(found, settings)) is not None:
            return loaded
    raise EncoderError(f"no encoder in {settings.name}: {EXPECTED}; found {describe(found)}")
