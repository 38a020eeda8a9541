"""A store's folder in an object store, or at any other URL that fsspec supports: s3://, gs://, memory://, ...

On S3 an upload is whole or absent, durable once it is acknowledged, and seen by all who read later (AWS, "Amazon S3
data consistency model"). For other services see their documentation. Credentials, endpoints and the like are found
where the service's own tools find them (for S3: AWS_PROFILE, AWS_ENDPOINT_URL, ...), or in fsspec's configuration.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from .base_folder import Folder, checked
from .errors import MissingError, StoreError
from .lock import HeldObject, Pace

REQUESTS = 32  # at once
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


class RemoteFolder(Folder):
    """Files are uploaded whole, read by range, and locked by an object that must be renewed (see `lock.py`)."""

    def __init__(self, url: str, pace: Pace | None = None, **options: Any):
        """`options` are fsspec's, for settings that the environment does not give."""
        scheme, _, path = url.partition("://")
        if not path.strip("/"):
            raise StoreError(f"{url} names no place for a store; give one such as {scheme}://bucket/voices.zarr")
        self.url = f"{scheme}://{path.rstrip('/')}"
        self.pace = pace or Pace()
        self.options = options
        self._opened: tuple[int, Any, str] = (0, None, "")
        self._connect()  # sends no request yet, but raises where a package is missing

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": (0, None, "")}

    def _connect(self) -> tuple[Any, str]:
        """The file system and the root's path in it: one for each process, since connections do not survive a fork."""
        if self._opened[0] != os.getpid():
            import fsspec

            scheme = self.url.partition("://")[0]
            try:
                # Without fsspec's cache of listings: another process may write at any time.
                opened = fsspec.core.url_to_fs(self.url, use_listings_cache=False, **self.options)
            except ImportError as error:
                package = PACKAGES.get(scheme, "the package it names")
                raise StoreError(f"{scheme}:// needs {package}: pip install '{package}' ({error})") from error
            except ValueError as error:
                raise StoreError(f"{self.url} is no URL that can be used: {error}") from error
            self._opened = (os.getpid(), *opened)
        return self._opened[1], self._opened[2]

    @property
    def location(self) -> str:
        return self.url

    def where(self, name: str = "") -> str:
        return f"{self.url}/{name}".rstrip("/")

    def read(self, name: str) -> bytes:
        with self._asking(name):
            return bytes(self._fs.cat_file(self._path(name)))

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        found = {}
        for name, data in self._together(self._read_or_none, names):
            if data is not None:
                found[name] = data
        return found

    def write(self, name: str, data: bytes) -> None:
        try:
            with self._asking(name):
                self._fs.pipe_file(self._path(name), data)
        except MissingError as error:
            raise StoreError(f"{self.where(name)} cannot be written; is there such a bucket?") from error

    def remove(self, names: Iterable[str]) -> None:
        for _ in self._together(self._remove, names):
            pass

    def size(self, name: str) -> int | None:
        try:
            with self._asking(name):
                info = self._fs.info(self._path(name))
        except MissingError:
            return None
        return int(info["size"]) if info["type"] == "file" else None

    def files(self, prefix: str) -> dict[str, int]:
        root = self._root
        try:
            with self._asking(prefix):
                listed = self._fs.find(self._path(prefix) if prefix else root, detail=True)
        except MissingError:
            return {}
        found = {
            path.removeprefix(root).lstrip("/"): int(info["size"])
            for path, info in listed.items()
            if info["type"] == "file"
        }
        return dict(sorted(found.items()))

    def entries(self) -> list[str]:
        root = self._root
        try:
            with self._asking(""):
                listed = [path.rstrip("/") for path in self._fs.ls(root, detail=False)]
        except MissingError:
            return []
        if listed == [root.rstrip("/")] and self._fs.isfile(root):
            raise StoreError(f"{self.where()} exists and is no unit store; give another --store")
        return sorted(path.rpartition("/")[2] for path in listed if path != root.rstrip("/"))

    def view(self, name: str) -> Ranges:
        return Ranges(self, name)

    @contextmanager
    def lock(self, name: str, waiting: Callable[[], None]) -> Iterator[Callable[[], None]]:
        held = HeldObject(self._path(name), self.where(), self._fs, lambda: self._asking(name), self.pace)
        try:
            held.acquire(waiting)
            yield held.check
        finally:
            held.release()

    def tidy(self) -> None:
        """Nothing: an upload is whole or absent. S3's lifecycle rules remove parts of aborted uploads."""

    @property
    def _fs(self) -> Any:
        return self._connect()[0]

    @property
    def _root(self) -> str:
        return self._connect()[1]

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{checked(name)}"

    def _read_or_none(self, name: str) -> bytes | None:
        try:
            return self.read(name)
        except MissingError:
            return None

    def _remove(self, name: str) -> None:
        try:
            with self._asking(name):
                self._fs.rm_file(self._path(name))
        except MissingError:
            return

    def _together(self, work: Callable[[str], Any], names: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """Call a function with every name, many at once, and return the results in order."""
        names = list(names)
        with ThreadPoolExecutor(REQUESTS) as pool:
            yield from zip(names, pool.map(work, names), strict=True)

    @contextmanager
    def _asking(self, name: str) -> Iterator[None]:
        """Turns all exceptions of a service into StoreErrors: those of S3, for example, are no OSErrors."""
        try:
            yield
        except StoreError:
            raise
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise MissingError(f"{self.where(name)} does not exist") from error
        except Exception as error:
            raise StoreError(f"{self.where(name)} cannot be reached: {type(error).__name__}: {error}") from error


class Ranges:
    """A file in an object store, by range. On S3 one request brings bytes of the file that was opened, or none."""

    def __init__(self, folder: RemoteFolder, name: str):
        self._folder, self._name = folder, name
        self._size, self._version = self._look()

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, at: slice) -> bytes:
        start, stop, _ = at.indices(self._size)
        if stop <= start:
            return b""
        data = self._fetch(start, stop)
        if data is None or len(data) != stop - start:
            raise MissingError(f"{self._folder.where(self._name)} was written anew; open the store again")
        return data

    def _fetch(self, start: int, stop: int) -> bytes | None:
        """The bytes, or None if the file is no longer the one that was opened."""
        fs, path = self._folder._fs, self._folder._path(self._name)
        with self._folder._asking(self._name):
            if "s3" in fs.protocol:
                return _fetch_from_s3(fs, path, start, stop, self._tag)
            data = bytes(fs.cat_file(path, start=start, end=stop))
        # Other services do not say which version the bytes are of: a second request finds out.
        return data if self._look() == (self._size, self._version) else None

    def _look(self) -> tuple[int, str]:
        """Size, and other metadata of the file: on S3 its ETag and date."""
        with self._folder._asking(self._name):
            info = self._folder._fs.info(self._folder._path(self._name))
        if info["type"] != "file":
            raise MissingError(f"{self._folder.where(self._name)} does not exist")
        self._tag = str(info.get("ETag", ""))
        return int(info["size"]), repr(sorted(info.items(), key=lambda item: str(item[0])))


def _fetch_from_s3(fs: Any, path: str, start: int, stop: int, tag: str) -> bytes | None:
    """Bytes [start, stop) of the object whose ETag is `tag`; None if it has another one now (If-Match of GetObject)."""
    from fsspec.asyn import sync

    bucket, key, _ = fs.split_path(path)

    async def get() -> bytes:
        found = await fs._call_s3("get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}", IfMatch=tag)
        async with found["Body"] as body:
            return bytes(await body.read())

    try:
        data: bytes = sync(fs.loop, get)
    except OSError as error:
        response = getattr(error.__cause__, "response", None) or getattr(error, "response", {})
        if response.get("Error", {}).get("Code") in ("PreconditionFailed", "412"):
            return None
        raise
    return data
