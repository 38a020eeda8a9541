"""JSON files in a store's folder, each with its own checksum inside."""

from __future__ import annotations

import json
from typing import Any

from ..common.canonical_json import canonical, digest
from .errors import DamagedError
from .folder import Folder


def write_checksummed(folder: Folder, name: str, value: dict[str, Any]) -> None:
    """Write a JSON object with its sha256 inside, whole or not at all."""
    folder.write(name, add_checksum(value))


def read_checksummed(folder: Folder, name: str) -> dict[str, Any]:
    """Read a file of `write_checksummed`.

    Raises:
        MissingError: there is no such file.
        DamagedError: its bytes differ from those that were written.
    """
    return check_checksum(folder.read(name), folder.where(name))


def add_checksum(value: dict[str, Any]) -> bytes:
    """A JSON object with its own digest inside."""
    return canonical({**value, "seal": digest(value)}) + b"\n"


def check_checksum(data: bytes, where: str) -> dict[str, Any]:
    """The object in the output of `add_checksum`.

    Raises DamagedError unless `data`, read from `where`, is byte for byte what `add_checksum` made.
    """
    try:
        value = json.loads(data)
        found = value.pop("seal")
        whole = found == digest(value) and data == canonical({**value, "seal": found}) + b"\n"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{where} is damaged: it is not the JSON that was written") from error
    if not whole:
        raise DamagedError(f"{where} is damaged: its content does not match its seal")
    return dict(value)
