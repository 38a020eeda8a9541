"""Opening a store's folder, by its path or URL."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from .base_folder import Folder
from .errors import StoreError
from .local import LocalFolder
from .remote import RemoteFolder

__all__ = ["Folder", "open_folder"]


def open_folder(location: str | Path | Folder) -> Folder:
    """The folder at a path or URL; nothing is read or made.

    Raises:
        StoreError: the package for that kind of URL is not installed, or the URL is invalid.
    """
    if isinstance(location, Folder):
        return location
    if isinstance(location, Path):
        if len(location.parts) > 1 and re.fullmatch(r"[a-z][a-z0-9+]+:", location.parts[0]):
            raise StoreError(f"{location} was a URL before it was made a Path, which drops a slash; give it as text")
        return LocalFolder(location)
    scheme, separator, _ = location.partition("://")
    if not separator:
        return LocalFolder(Path(location))
    if scheme.lower() in ("file", "local"):
        return LocalFolder(Path(url2pathname(urlsplit(location).path)))
    return RemoteFolder(location)
