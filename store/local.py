"""A store's folder on this machine's disks."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from ..common.files import make_folder, sync_folder, write_whole
from .base_folder import Folder, checked
from .errors import DamagedError, MissingError, StoreError

MAX_WHOLE = 2**32  # bytes; only records and shards that are copied are read whole


class LocalFolder(Folder):
    """Files are written aside, synced and renamed, read through memory maps, and locked by the operating system."""

    def __init__(self, root: Path):
        self.root = root

    def __reduce__(self) -> tuple[type[LocalFolder], tuple[Path]]:
        # Another process may have another working directory.
        return LocalFolder, (self.root.absolute(),)

    @property
    def location(self) -> str:
        return str(self.root.absolute())

    def where(self, name: str = "") -> str:
        return str(self.root / name)

    def read(self, name: str) -> bytes:
        with self._open(name) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_WHOLE:
                raise DamagedError(f"{self.where(name)} has {size} bytes; svc writes no such file")
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        if len(data) > MAX_WHOLE:  # a file that could not be read again is not written
            raise StoreError(f"{self.where(name)} would have {len(data)} bytes; svc reads {MAX_WHOLE} at most")
        write_whole(self._path(name), data)

    def remove(self, names: Iterable[str]) -> None:
        changed = set()
        for name in names:
            path = self._path(name)
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                continue
            changed.add(path.parent)
        for folder in sorted(changed):
            sync_folder(folder)

    def size(self, name: str) -> int | None:
        path = self._path(name)
        return path.stat().st_size if path.is_file() else None

    def files(self, prefix: str) -> dict[str, int]:
        found: dict[str, int] = {}
        self._list(self._path(prefix) if prefix else self.root, prefix and f"{prefix}/", found)
        return dict(sorted(found.items()))

    def _list(self, folder: Path, prefix: str, found: dict[str, int]) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                # Another may be writing, and its files come and go.
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        self._list(folder / entry.name, f"{prefix}{entry.name}/", found)
                    elif entry.is_file():
                        found[prefix + entry.name] = entry.stat().st_size

    def entries(self) -> list[str]:
        try:
            return sorted(os.listdir(self.root))
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            raise StoreError(f"{self.where()} exists and is no unit store; give another --store") from error

    def view(self, name: str) -> memoryview:
        with self._open(name) as file:
            if os.fstat(file.fileno()).st_size == 0:  # which cannot be mapped
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def sha256(self, name: str) -> str:
        with self._open(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @contextmanager
    def lock(self, name: str, waiting: Callable[[], None]) -> Iterator[Callable[[], None]]:
        import filelock

        path = self._path(name)
        make_folder(path.parent)
        lock = filelock.FileLock(path)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            waiting()
            lock.acquire()
        try:
            yield lambda: None  # the operating system keeps the lock as long as this process runs
        finally:
            lock.release()

    def tidy(self) -> None:
        for left in self.root.rglob(".*.partial"):
            left.unlink(missing_ok=True)

    def _open(self, name: str) -> BufferedReader:
        path = self._path(name)
        try:
            if path.is_file():  # reading a pipe would block, and a device never ends
                return path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            pass
        raise MissingError(f"{self.where(name)} does not exist")

    def _path(self, name: str) -> Path:
        path = self.root / checked(name)
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise StoreError(f"{path} leads out of the store, by a symbolic link; put the file itself there")
        return path
