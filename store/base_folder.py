"""The folder of a store's files: on disk, or a prefix in an object store.

A file is named by its path relative to the store's root, such as `ledger/store.json`. This is the interface that
`local.py` and `remote.py` implement; `folder.py` chooses between them.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from .errors import MissingError, StoreError


class View(Protocol):
    """A file's bytes by range: `view[start:stop]` fetches those, and no others."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: slice, /) -> memoryview | bytes: ...


class Folder(ABC):
    """A store's files by name. It holds no handles, so it can be sent to another process or machine."""

    @property
    @abstractmethod
    def location(self) -> str:
        """The argument by which `open_folder` finds it in any process: an absolute path, or a URL."""

    @abstractmethod
    def where(self, name: str = "") -> str:
        """A file, or the folder itself, as messages name it."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """All of a file. Raises MissingError when there is none."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write `data` to a file. After any failure it has durably either `data` or its old content."""

    @abstractmethod
    def remove(self, names: Iterable[str]) -> None:
        """Remove files; missing ones are ignored."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """A file's length in bytes; None when there is none."""

    @abstractmethod
    def files(self, prefix: str) -> dict[str, int]:
        """The names and sizes of all files in a folder ("" is the root) and below, sorted; none if it is not there."""

    @abstractmethod
    def entries(self) -> list[str]:
        """The files and folders directly in the root. Raises StoreError when the root is itself a file."""

    @abstractmethod
    def view(self, name: str) -> View:
        """A file, to be read in parts. Raises MissingError when there is none.

        All parts come from the file that existed when the view was made, or reading raises MissingError.
        """

    @abstractmethod
    def lock(self, name: str, waiting: Callable[[], None]) -> AbstractContextManager[Callable[[], None]]:
        """Hold a lock exclusively; wait until it is free.

        Yields a function that raises StoreError once the lock is no longer held. `waiting` is called once if another
        process has it.
        """

    @abstractmethod
    def tidy(self) -> None:
        """Remove partial files of writers that were killed. Only while holding the lock."""

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        """The content of those files that exist, by name."""
        found = {}
        for name in names:
            try:
                found[name] = self.read(name)
            except MissingError:
                continue
        return found

    def sha256(self, name: str) -> str:
        """sha256 of a file, in hexadecimal. Raises MissingError when there is none."""
        return hashlib.sha256(self.read(name)).hexdigest()


def checked(name: str) -> str:
    """A name, if it stays within its folder. Raises StoreError for other names, which only a malicious store has."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\\:\0]", name):
        raise StoreError(f"{name!r} is no name of a file in a store")
    return name
