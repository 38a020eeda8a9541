"""Finding the recordings of a corpus and whose they are.

`corpus/SPEAKER/**/*.flac`: each folder directly inside is a speaker. A folder that holds recordings itself, and no
folders with recordings, is one speaker named after the folder.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...common.errors import UserError
from ...pipeline.audio import SUFFIXES


@dataclass(frozen=True)
class RecordingFile:
    """A recording: `path` on disk, `source` inside the corpus folder `root`, the name its utterances go by."""

    path: Path
    root: Path
    source: str
    speaker: str
    name: str


@dataclass(frozen=True)
class Refused:
    """An input that was not used, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def find_recordings(roots: Iterable[Path]) -> tuple[list[RecordingFile], list[Refused]]:
    """All recordings under the given corpora, in order, and the files that lie where no speaker can be told.

    Raises:
        UserError: a corpus is no folder, or none holds a recording.
    """
    found: list[RecordingFile] = []
    refused: list[Refused] = []
    roots = [Path(os.path.abspath(root)) for root in roots]
    for root in roots:
        if not root.exists():
            raise UserError(f"{root} does not exist; give the folder with the speakers' folders in it")
        if not root.is_dir():
            raise UserError(f"{root} is a file; give the folder that it lies in")
        here, refused_here = _find_in(root)
        found += here
        refused += refused_here
    if not found:
        raise UserError(_why_nothing(roots))
    if len(set(roots)) < len(roots):
        raise UserError("the same corpus was given twice")
    return _name(found), refused


def _find_in(root: Path) -> tuple[list[RecordingFile], list[Refused]]:
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise UserError(f"{root} cannot be read: {error.strerror}") from error
    loose = [entry for entry in entries if _is_recording(entry)]
    found = [
        RecordingFile(path, root, path.relative_to(root).as_posix(), folder.name, "")
        for folder in entries
        if folder.is_dir() and not folder.name.startswith(".") and not _is_store(folder)
        for path in _recordings_below(folder)
    ]
    if not found:
        return [RecordingFile(path, root, path.name, root.name, "") for path in loose], []
    reason = f"lies beside the speakers' folders of {root}, so that nobody knows whose voice it is; move it into one"
    return found, [Refused(str(path), reason) for path in loose]


def _recordings_below(folder: Path) -> list[Path]:
    below = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below += [path for name in sorted(files) if _is_recording(path := Path(parent, name))]
    return below


def _is_recording(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._") and path.is_file()


def _is_store(folder: Path) -> bool:
    return (folder / "zarr.json").exists()


def _name(found: list[RecordingFile]) -> list[RecordingFile]:
    """Name recordings SPEAKER/path without its ending; with it where two would have the same name."""

    def name(item: RecordingFile, ending: bool) -> str:
        inside = Path(item.source)
        inside = inside.relative_to(item.speaker) if inside.parts[0] == item.speaker else inside
        return f"{item.speaker}/{(inside if ending else inside.with_suffix('')).as_posix()}"

    taken = Counter(name(item, ending=False) for item in found)
    named = [
        RecordingFile(item.path, item.root, item.source, item.speaker, name(item, ending=taken[name(item, False)] > 1))
        for item in found
    ]
    twice = [item for item, count in Counter(item.name for item in named).items() if count > 1]
    if twice:
        raise UserError(f"two corpora both have a recording {twice[0]}; rename one of the speakers' folders")
    return named


def _why_nothing(roots: list[Path]) -> str:
    endings: Counter[str] = Counter()
    for root in roots:
        for _, _, files in os.walk(root):
            endings.update(Path(name).suffix.lower() or "no ending" for name in files)
    seen = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(4)) or "nothing at all"
    return (
        f"no recordings in {', '.join(map(str, roots))}: expected SPEAKER/*.wav (or flac, mp3, ogg, opus, aiff, ...), "
        f"or recordings of one speaker directly inside; found {seen}"
    )
