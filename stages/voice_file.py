"""A voice file: a run in one file, to render with elsewhere. `svc pack` writes it, and `-m FILE` renders with it.

It is a ZIP archive without compression, of the members in MEMBERS and no others:

    voice.json              what the voice is: speakers, encoder, vocoder, scores, licence
    README.md               the same for a reader
    run.json                as in a run, without paths
    units.safetensors, best.safetensors, index.safetensors, vocoder.safetensors

Nothing in it can run. It is unpacked once into the user's cache, under its sha256.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from ..common.errors import UserError
from ..common.files import cache_folder, new_file_beside

CARD = "voice.json"
REQUIRED = (CARD, "run.json", "units.safetensors", "best.safetensors")
MEMBERS = (*REQUIRED, "README.md", "index.safetensors", "vocoder.safetensors")
SUFFIX = ".svc"
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member: the same run gives the same bytes
BLOCK = 2**22  # bytes


def write(path: Path, members: Mapping[str, Path | bytes]) -> None:
    """Write a voice file, whole or not at all, of files and texts by member name."""
    assert set(REQUIRED) <= members.keys() <= set(MEMBERS)
    with new_file_beside(path) as file:
        _write_archive(file, members)


def _write_archive(file: BinaryIO, members: Mapping[str, Path | bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in (name for name in MEMBERS if name in members):
            info = zipfile.ZipInfo(name, EPOCH)
            info.external_attr = 0o644 << 16
            content = members[name]
            if isinstance(content, bytes):
                archive.writestr(info, content)
                continue
            info.file_size = content.stat().st_size
            with content.open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, BLOCK)


def unpack(path: Path) -> Path:
    """The folder of a voice file's members, in the user's cache; unpacked if it is not there yet.

    Raises UserError when it is not a voice file.
    """
    folder = cache_folder("voices") / _digest(path)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".unpacking.", dir=folder.parent))
    try:
        _extract(path, aside)
        try:
            aside.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was faster
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def read_member(path: Path, name: str) -> bytes:
    """A small member, such as CARD. Raises UserError when the file is not a voice file."""
    with _opened(path) as archive:
        return archive.read(name)


def _extract(path: Path, folder: Path) -> None:
    with _opened(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as source, (folder / info.filename).open("xb") as target:
                shutil.copyfileobj(source, target, BLOCK)


def _opened(path: Path) -> zipfile.ZipFile:
    """The archive, after a check of its members. Raises UserError when it is not a voice file."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{path} is not a voice file: {error}", _HINT) from error
    if problem := _problem(archive.infolist(), path.stat().st_size):
        archive.close()
        raise UserError(f"{path} is not a voice file of svc: {problem}", _HINT)
    return archive


def _problem(members: list[zipfile.ZipInfo], size: int) -> str:
    """The fault of an archive's members; empty if they are as `write` makes them."""
    names = [info.filename for info in members]
    if strange := sorted({name for name in names if name not in MEMBERS or names.count(name) > 1}):
        return f"it holds {strange[0]!r}, which is not expected there"
    if lacking := [name for name in REQUIRED if name not in names]:
        return f"it lacks {', '.join(lacking)}"
    for info in members:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
            return f"{info.filename} is compressed or encrypted"
    if sum(info.file_size for info in members) > size:
        return "its members overlap"
    return ""


def _digest(path: Path) -> str:
    """sha256 of a regular file. Raises UserError for a file that is none."""
    if not path.is_file():
        raise UserError(f"{path} is not a file")
    total = hashlib.sha256()
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise UserError(f"{path} is neither a run's folder nor a voice file", _HINT)
        file.seek(0)
        while block := file.read(BLOCK):
            total.update(block)
    return total.hexdigest()


_HINT = "Give the folder of a run, or a file that `svc pack RUN` made"
