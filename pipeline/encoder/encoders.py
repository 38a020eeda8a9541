"""Finding a frozen encoder: by short name, hub id or path, whatever framework its file came from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from ...common.errors import SvcError
from ..frames import CONTENT_HOP
from ..projection import SoftHead
from .checkpoint_files import describe, read_checkpoint_file, reason
from .fairseq import is_fairseq, read_fairseq
from .hub import hub_is_reachable, quiet
from .hubert_soft import is_hubert_soft, read_hubert_soft

HUB_NAMES = {
    "en": "facebook/hubert-base-ls960",
    "en-large": "facebook/hubert-large-ll60k",
    "ko": "team-lucid/hubert-base-korean",
    "ja": "rinna/japanese-hubert-base",
    "zh": "TencentGameMate/chinese-hubert-base",
    "contentvec": "lengyue233/content-vec-best",
}

# The release files of bshall/hubert; what follows the last hyphen of a name begins the file's sha256.
RELEASES = {
    "hubert-soft": "https://github.com/bshall/hubert/releases/download/v0.1/hubert-soft-0d54a1f4.pt",
}

# What the project made and ships: its folder in svc.data. data/README.md tells what it is good for.
SHIPPED = {"mini": "mini"}

FILE_ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
IN_A_FOLDER = ("config.json", "model.safetensors", "pytorch_model.bin")  # as save_pretrained names them
EXPECTED = (
    "expected a folder with config.json and model.safetensors, as a hub download or save_pretrained makes it, "
    "or a .pt file of HuBERT or ContentVec from fairseq, or of HuBERT-soft from bshall/hubert"
)


class EncoderError(SvcError, ValueError):
    """An encoder cannot be loaded, or is not what was expected. The message says what to do."""


@dataclass(frozen=True)
class Encoder:
    """A HuBERT as it was found.

    `model` is a transformers `HubertModel` in float32 on the CPU, whatever it was read from. `normalize` says that its
    input must have zero mean and unit variance. `name` is how the user called it, `origin` where to find it again from
    any folder: a hub id, the short name of a release or of what is shipped, or an absolute path. `head` is the soft
    projection that came with it.
    """

    model: Any
    normalize: bool
    name: str
    origin: str
    head: SoftHead | None = None


def load_encoder(name: str) -> Encoder:
    """Load by short name (`HUB_NAMES`, `RELEASES`, `SHIPPED`), hub id, folder or file.

    Raises:
        EncoderError: it is not there, incomplete, or no HuBERT with a 20 ms hop.
    """
    quiet()
    if name in SHIPPED:
        encoder = _from_transformers(str(files("svc.data") / SHIPPED[name]), name, name)
    elif name in RELEASES:
        encoder = _from_file(_released(name), name, name)
    elif name in HUB_NAMES or not looks_like_path(name):
        source = HUB_NAMES.get(name, name)
        encoder = _from_transformers(source, name, source)
    else:
        encoder = _from_path(Path(name).expanduser().absolute(), name)
    if _hop(encoder.model.config) != CONTENT_HOP:
        raise EncoderError(
            f"{name} makes a frame every {_hop(encoder.model.config)} samples; {CONTENT_HOP} are expected"
        )
    return encoder


def looks_like_path(name: str) -> bool:
    """Whether an encoder's name means a folder or file rather than a hub id such as `facebook/hubert-base-ls960`."""
    return (
        os.path.sep * 2 in name
        or name.startswith((".", "/", "~"))
        or name.endswith(FILE_ENDINGS)
        or name.count("/") != 1
        or Path(name).exists()
    )


def _from_path(path: Path, name: str) -> Encoder:
    folder = path.parent if path.is_file() and path.name in IN_A_FOLDER else path
    if (folder / "config.json").is_file():
        return _from_transformers(str(folder), name, str(folder))
    if path.is_file():
        return _from_file(path, name, str(path))
    names = ", ".join([*HUB_NAMES, *RELEASES, *SHIPPED])
    raise EncoderError(f"no encoder in {name}: {EXPECTED}; or give a name ({names}) or a hub id")


def _from_file(path: Path, name: str, origin: str) -> Encoder:
    if path.suffix in (".safetensors", ".json"):
        raise EncoderError(
            f"{name} alone does not tell what model it is of: give the folder that has both model.safetensors and "
            f"config.json, as a hub download or save_pretrained makes it"
        )
    try:
        found = read_checkpoint_file(path)
        if is_fairseq(found):
            model, normalize = read_fairseq(found)
            return Encoder(model, normalize, name, origin)
        if is_hubert_soft(found):
            model, head = read_hubert_soft(found)
            return Encoder(model, False, name, origin, head)
    except Exception as error:
        raise EncoderError(f"the encoder in {name} cannot be loaded: {reason(error)}") from error
    raise EncoderError(f"no encoder in {name}: {EXPECTED}; found {describe(found)}")


def _from_transformers(source: str, name: str, origin: str) -> Encoder:
    """From a folder, or the hub."""
    from transformers import HubertConfig, HubertModel

    try:
        offline = Path(source).is_dir() or not hub_is_reachable()
        config_dict, _ = HubertConfig.get_config_dict(source, local_files_only=offline)
        if config_dict.get("model_type") != "hubert":
            raise EncoderError(f"{name} is a {config_dict.get('model_type')!r} model; a 'hubert' model is needed")
        loaded: Any = HubertModel.from_pretrained(
            source, output_loading_info=True, dtype=torch.float32, local_files_only=offline
        )
    except EncoderError:
        raise
    except Exception as error:
        raise EncoderError(_why_missing(name, source, error)) from error
    model, info = loaded
    if missing := [key for key in info["missing_keys"] if key != "masked_spec_embed"]:
        raise EncoderError(f"the weights of {name} lack {len(missing)} tensors, {missing[0]} among them")
    if info["missing_keys"]:
        # Never used but in training; random values would give the same encoder another fingerprint at each loading.
        model.masked_spec_embed.data.zero_()
    return Encoder(model, _normalizes(source, offline), name, origin)


def _released(name: str) -> Path:
    """The release file of that short name, downloaded once into PyTorch's hub cache."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    url = RELEASES[name]
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if path.is_file():
        return path
    try:
        if HF_HUB_OFFLINE:
            raise ConnectionError("HF_HUB_OFFLINE is set")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rsplit("-", 1)[1], progress=False)
    except Exception as error:
        raise EncoderError(
            f"encoder {name!r} is not on this machine and could not be downloaded: {reason(error)}\n"
            f"Where there is internet, fetch {url}, copy that file here and give its path: --encoder {path.name}"
        ) from error
    return path


def _hop(config: Any) -> int:
    hop = 1
    for stride in config.conv_stride:
        hop *= stride
    return hop


def _normalizes(source: str, offline: bool) -> bool:
    """Whether the model was trained on clips of zero mean and unit variance: its preprocessor's do_normalize."""
    from transformers.utils.hub import cached_file

    found = cached_file(
        source,
        "preprocessor_config.json",
        local_files_only=offline,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return bool(json.loads(Path(found).read_text("utf-8")).get("do_normalize", True)) if found else True


def _why_missing(name: str, source: str, error: Exception) -> str:
    if Path(source).exists():
        return f"the encoder in {name} cannot be loaded: {reason(error)}"
    called = source if name == source else f"{name!r} ({source})"
    return (
        f"encoder {called} is not on this machine and could not be downloaded: {reason(error)}\n"
        f"Where there is internet, fetch it with `hf download {source} --local-dir ENCODER`, "
        f"copy that folder here and give its path: --encoder ENCODER"
    )
