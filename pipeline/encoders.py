"""Finding a frozen encoder: by short name, hub id or path, whatever framework its file came from."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from .frames import CONTENT_HOP

HUB_NAMES = {
    "en": "facebook/hubert-base-ls960",
    "en-large": "facebook/hubert-large-ll60k",
    "ko": "team-lucid/hubert-base-korean",
    "ja": "rinna/japanese-hubert-base",
    "zh": "TencentGameMate/chinese-hubert-base",
    "contentvec": "lengyue233/content-vec-best",
}


class EncoderError(ValueError):
    """An encoder cannot be loaded, or is not what was expected. The message says what to do."""


@dataclass(frozen=True)
class Encoder:
    """A HuBERT as it was found.

    `model` is a transformers `HubertModel` in float32 on the CPU, whatever it was read from. `normalize` says that its
    input must have zero mean and unit variance. `name` is how the user called it, `origin` where to find it again from
    any folder: a hub id, or an absolute path.
    """

    model: Any
    normalize: bool
    name: str
    origin: str


def load_encoder(name: str) -> Encoder:
    """Load by short name (`HUB_NAMES`), hub id or folder.

    Raises:
        EncoderError: it is not there, incomplete, or no HuBERT with a 20 ms hop.
    """
    from transformers import HubertConfig, HubertModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    source = HUB_NAMES.get(name, name)
    if name not in HUB_NAMES and looks_like_path(name) and not (Path(name) / "config.json").is_file():
        raise EncoderError(
            f"no encoder in {name}: expected a folder with config.json and model.safetensors, as a hub download "
            f"or save_pretrained makes it; or give a name ({', '.join(HUB_NAMES)}) or a hub id"
        )
    try:
        offline = Path(source).is_dir() or not _hub_is_reachable()
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
    if _hop(model.config) != CONTENT_HOP:
        raise EncoderError(f"{name} makes a frame every {_hop(model.config)} samples; {CONTENT_HOP} are expected")
    origin = str(Path(name).absolute()) if Path(name).is_dir() else source
    return Encoder(model, _normalizes(source, offline), name, origin)


def looks_like_path(name: str) -> bool:
    """Whether an encoder's name means a folder rather than a hub id such as `facebook/hubert-base-ls960`."""
    return os.path.sep * 2 in name or name.startswith((".", "/", "~")) or name.count("/") != 1 or Path(name).exists()


def _hop(config: Any) -> int:
    hop = 1
    for stride in config.conv_stride:
        hop *= stride
    return hop


def _hub_is_reachable() -> bool:
    """Asked first, because without a network the hub's client tries again for half a minute before it says so."""
    from huggingface_hub.constants import ENDPOINT

    try:
        socket.getaddrinfo(urlsplit(ENDPOINT).hostname, None)
    except OSError:
        return False
    return True


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
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if Path(source).exists():
        return f"the encoder in {name} cannot be loaded: {reason}"
    called = source if name == source else f"{name!r} ({source})"
    return (
        f"encoder {called} is not on this machine and could not be downloaded: {reason}\n"
        f"Where there is internet, fetch it with `hf download {source} --local-dir ENCODER`, "
        f"copy that folder here and give its path: --encoder ENCODER"
    )
