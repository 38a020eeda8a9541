"""Uploads: streamed to disk as they come, under names of ours, with nothing decoded here."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from ...pipeline.audio import SUFFIXES
from .errors import ApiError
from .home import Home, new_id, suffix_of
from .settings import ServerSettings

CHUNK = 1 << 20  # bytes that are written at once
LONGEST_NAME = 120


def display_name(name: str) -> str:
    """The name of an upload on the page: the last part of its file name, without control characters."""
    last = unquote(name).replace("\\", "/").rpartition("/")[2]
    shown = "".join(letter for letter in last if letter.isprintable()).strip() or "untitled"
    suffix = Path(shown).suffix[:10]
    return shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - len(suffix)] + suffix


def checked_suffix(name: str) -> str:
    """Raises ApiError for an ending that no audio file has."""
    suffix = suffix_of(name)
    if suffix is None:
        expected = ", ".join(sorted(SUFFIXES))
        message = f"expected an audio file, found {name[:60]!r}; convert it to FLAC or WAV"
        raise ApiError(415, "not_audio", message, f"expected {expected}")
    return suffix


def check_room(home: Home, settings: ServerSettings, length: int = 0) -> None:
    """Raises ApiError if too little space would be left on the disk."""
    if home.free_bytes() - length < settings.spare_bytes:
        raise ApiError(507, "disk_full", "the disk is nearly full; free some room and try again")


async def receive(request: Request, folder: Path, suffix: str, home: Home, settings: ServerSettings) -> Path:
    """Write a request's body to a new file in `folder`; nothing is left of one that does not arrive whole."""
    check_room(home, settings, int(request.headers.get("content-length") or 0))
    return await write_stream(request.stream(), folder, suffix, home, settings)


async def write_stream(
    stream: AsyncIterator[bytes], folder: Path, suffix: str, home: Home, settings: ServerSettings
) -> Path:
    """Write an upload to a new file in `folder`, and return its path. Raises ApiError when it is
    empty or the disk is nearly full; then nothing is left of it.
    """
    name = new_id()
    aside, path = folder / f".{name}.partial", folder / f"{name}{suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            held, total, checked = bytearray(), 0, 0
            async for block in stream:
                held += block
                total += len(block)
                if len(held) >= CHUNK:
                    await run_in_threadpool(file.write, bytes(held))
                    held.clear()
                if total - checked > 64 * CHUNK:
                    checked = total
                    check_room(home, settings)
            await run_in_threadpool(file.write, bytes(held))
        if total == 0:
            raise ApiError(422, "empty", "the file is empty")
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return path


def clear_partials(home: Home) -> None:
    """Remove partial files of uploads that were interrupted by the server's end."""
    for pattern in ("voices/*/corpus/*/.*.partial", "songs/*/.*.partial", ".svc-ui/single/*"):
        for path in home.path.glob(pattern):
            if path.is_file() and not path.is_symlink():
                path.unlink(missing_ok=True)
