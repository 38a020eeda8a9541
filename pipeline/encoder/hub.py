"""Models that others trained, in the Hugging Face format: from a folder, or from the hub where it can be reached."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...common.errors import SvcError
from .checkpoint_files import reason


class ModelError(SvcError, ValueError):
    """A model cannot be loaded, or is not what was expected. The message says what to do."""


def hub_is_reachable() -> bool:
    """Asked first, because without a network the hub's client tries again for half a minute before it says so."""
    from huggingface_hub.constants import ENDPOINT

    try:
        socket.getaddrinfo(urlsplit(ENDPOINT).hostname, None)
    except OSError:
        return False
    return True


def quiet() -> None:
    """Have transformers tell of errors alone: what is told here is told by svc."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def fetch(load: Callable[..., Any], source: str, what: str) -> Any:
    """`load(source)`, a class's from_pretrained, without waiting for a hub that is not there.

    Args:
        load: takes a folder or hub id, and `local_files_only`.
        source: folder or hub id.
        what: what is wanted, in a few words, and an option to give it with, for a message.

    Raises:
        ModelError: it is not there, or something else.
    """
    quiet()
    folder = Path(source).expanduser()
    try:
        return load(
            str(folder) if folder.is_dir() else source, local_files_only=folder.is_dir() or not hub_is_reachable()
        )
    except Exception as error:
        if folder.exists():
            raise ModelError(f"there is no {what} in {source} that can be loaded: {reason(error)}") from error
        raise ModelError(
            f"{source} is no {what} on this machine, and could not be downloaded: {reason(error)}\n"
            f"Where there is internet, fetch one with `hf download {source} --local-dir FOLDER`, copy that folder here "
            f"and give its path"
        ) from error
