"""Sealed JSON in a store's folder."""

from __future__ import annotations

from typing import Any

from .files import seal, unseal
from .folder import Folder


def write_sealed(folder: Folder, name: str, value: dict[str, Any]) -> None:
    """Write a JSON object with its own digest inside, whole or not at all."""
    folder.write(name, seal(value))


def read_sealed(folder: Folder, name: str) -> dict[str, Any]:
    """Read what `write_sealed` wrote.

    Raises:
        MissingError: there is no such file.
        DamagedError: it is not, byte for byte, what was written.
    """
    return unseal(folder.read(name), folder.where(name))
