"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import UserError

NAME_BYTES = 255  # of a file's name, on nearly all file systems


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a regular file: reading a pipe would block, and a device never ends.

    Raises:
        FileNotFoundError: it does not exist.
        UserError: it is not a regular file, or has more than `most` bytes.
    """
    # Without O_NONBLOCK, opening a pipe that nobody writes to would wait before its kind can be seen.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path} is not a regular file")
        if found.st_size > most:
            raise UserError(f"{path} has {found.st_size} bytes; expected at most {most}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that `path` has either its old content or all of `data`, on disk, even after a crash."""
    with naming(path):
        make_folder(path.parent)
        with new_file_beside(path) as file:
            file.write(data)


@contextmanager
def new_file_beside(path: Path) -> Iterator[BinaryIO]:
    """A new file, opened to write and read, which takes the place of `path` when the block ends without an exception.

    Its name is hidden and random, and it is created, never opened, so that no file of other users is written to. `path`
    itself is replaced, also if it is a link. After an exception nothing is left.
    """
    aside = path.with_name(_aside_name(path.name))
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(aside, flags, 0o666)
    except OSError as error:  # the user knows `path`, not the temporary name
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _aside_name(name: str) -> str:
    """`.NAME.RANDOM.partial`, with as much of the name as fits."""
    ending = f".{secrets.token_hex(8)}.partial"
    kept = os.fsencode(name)[: NAME_BYTES - len(ending) - 1]
    return f".{kept.decode('utf-8', 'ignore')}{ending}"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file's name into an OSError that has none: `write` and `fsync` know only a number."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def cache_folder(name: str) -> Path:
    """A folder of svc's in the user's cache (`XDG_CACHE_HOME`, or `~/.cache`), which need not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "svc" / name


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, each synced to disk."""
    for above in (folder, *folder.parents):
        if above.exists() and not above.is_dir():
            raise UserError(f"{above} is a file, not a folder", "give another place, or a name that ends as files do")
    missing = [above for above in (folder, *folder.parents) if not above.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, if the system supports it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
