"""Local files that are whole or absent, and JSON that notices when it was changed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from .errors import DamagedError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that, whatever happens, `path` is either what it was or all of `data`, on the disk itself."""
    make_folder(path.parent)
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, each as durable as what is written into it."""
    missing = [above for above in (folder, *folder.parents) if not above.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, where the system has a way."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical(value: Any) -> bytes:
    """The one JSON spelling of a value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def seal(value: dict[str, Any]) -> bytes:
    """A JSON object with its own digest inside."""
    return canonical({**value, "seal": digest(value)}) + b"\n"


def unseal(data: bytes, where: str) -> dict[str, Any]:
    """What `seal` was given. Raises DamagedError when `data`, read from `where`, is not byte for byte what it made."""
    try:
        value = json.loads(data)
        found = value.pop("seal")
        whole = found == digest(value) and data == canonical({**value, "seal": found}) + b"\n"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{where} is damaged: it is not the JSON that was written") from error
    if not whole:
        raise DamagedError(f"{where} is damaged: its content does not match its seal")
    return dict(value)
