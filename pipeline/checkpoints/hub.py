"""Models from the Hugging Face hub, and files from elsewhere: downloaded once, if a download is allowed at all."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

from ...common.errors import SvcError
from .torch_file import reason

# Files that are downloaded: first these, and the pickled weights only if there are no others.
WANTED = ("config.json", "preprocessor_config.json", "model.safetensors", "model.safetensors.index.json")
SHARDS = ("model-*-of-*.safetensors",)
TOKENIZER = ("generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin")


class ModelError(SvcError, ValueError):
    """A model cannot be loaded, or is not what was expected. The message says what to do."""


class HubError(SvcError):
    """A model is not on this machine, and was not downloaded. The message goes after the model's name."""


def hub_is_reachable() -> bool:
    """Whether the hub's name resolves. Without a network the hub's client would retry for half a minute."""
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return False
    try:
        socket.getaddrinfo(urlsplit(ENDPOINT).hostname, None)
    except OSError:
        return False
    return True


def quiet() -> None:
    """Have transformers and the hub's client print errors only: progress and advice are printed by svc."""
    from huggingface_hub.utils.tqdm import disable_progress_bars
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()


def snapshot(hub_id: str, allow_hub: bool = True, tokenizer: bool = False) -> Path:
    """The folder of a model by its hub id, downloaded into the hub's cache if it is not there and if that is allowed.

    Args:
        hub_id: such as `facebook/hubert-base-ls960`.
        allow_hub: whether any request may be made.
        tokenizer: whether its files for text are wanted too.

    Raises:
        HubError: it is not there, and was not downloaded.
    """
    from huggingface_hub import snapshot_download

    wanted = (*WANTED, *TOKENIZER) if tokenizer else WANTED
    local = not allow_hub or not hub_is_reachable()

    def fetch(patterns: tuple[str, ...]) -> Path:
        return Path(snapshot_download(hub_id, allow_patterns=list(patterns), local_files_only=local))

    try:
        folder = fetch((*wanted, *SHARDS))
        if not any((folder / name).exists() for name in WANTED[2:]):
            folder = fetch((*wanted, *PICKLED))
        return folder
    except Exception as error:
        raise _missing(
            error,
            allow_hub,
            f"Where there is internet, fetch it with `hf download {hub_id} --local-dir FOLDER`, copy that folder here "
            f"and give its path",
        ) from error


def hub_file(hub_id: str, name: str, allow_hub: bool = True) -> Path:
    """One file of a hub repository, downloaded into the hub's cache if it is not there and if that is allowed.

    Raises:
        HubError: it is not there, and was not downloaded.
    """
    from huggingface_hub import hf_hub_download

    local = not allow_hub or not hub_is_reachable()
    try:
        return Path(hf_hub_download(hub_id, name, local_files_only=local))
    except Exception as error:
        raise _missing(
            error,
            allow_hub,
            f"Where there is internet, fetch it with `hf download {hub_id} {name}`, copy it here and give its path",
        ) from error


def download_file(url: str, allow_hub: bool = True) -> Path:
    """A file by its address, downloaded once into PyTorch's hub cache.

    Args:
        url: its name ends in `-` and the first digits of the file's sha256, before the ending.
        allow_hub: whether any request may be made.

    Raises:
        HubError: it is not there, and was not downloaded.
    """
    import torch
    from huggingface_hub.constants import HF_HUB_OFFLINE

    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if path.is_file():
        return path
    try:
        if not allow_hub or HF_HUB_OFFLINE:
            raise ConnectionError("HF_HUB_OFFLINE is set")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rsplit("-", 1)[1], progress=False)
    except Exception as error:
        raise _missing(
            error, allow_hub, f"Where there is internet, fetch {url}, copy that file here and give its path"
        ) from error
    return path


def _missing(error: Exception, allow_hub: bool, hint: str) -> HubError:
    if allow_hub:
        return HubError(f"is not on this machine and could not be downloaded: {reason(error)}", hint)
    return HubError(
        "is not on this machine, and nothing is downloaded for a name that comes from a file",
        f"If you trust that name, give it yourself, and it will be downloaded. {hint}",
    )
