"""One input song: a file, or standard input; read once, and refused early."""

from __future__ import annotations

import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...pipeline.audio import AudioError
from .output_paths import STANDARD


def check_song(song: Path) -> None:
    """Raises AudioError for a song that is not there or no file. It is not opened."""
    if song == STANDARD:
        return
    try:
        mode = song.stat().st_mode
    except OSError as error:
        raise AudioError(f"cannot be read: {error.strerror or error}") from error
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFDIR: "a folder", stat.S_IFSOCK: "a socket"}
        raise AudioError(f"is {kinds.get(stat.S_IFMT(mode), 'a device')}, not a file; give `-` to read standard input")


@contextmanager
def naming(song: Path) -> Iterator[None]:
    """Puts the song's path before the message of an AudioError, for commands that print no other name."""
    try:
        yield
    except AudioError as error:
        raise AudioError(f"{song}: {error.message}", error.hint) from error


@contextmanager
def opened_song(song: Path) -> Iterator[Path]:
    """The file that a song is read from: itself, or a temporary file with standard input.

    Raises:
        AudioError: it is not there, or no file.
    """
    check_song(song)
    if song != STANDARD:
        yield song
        return
    with tempfile.NamedTemporaryFile(prefix="svc-stdin-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Path(file.name)
