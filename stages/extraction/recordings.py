"""Finding the recordings of a corpus and their speakers.

`corpus/SPEAKER/**/*.flac`: each folder directly inside is a speaker. A folder that holds recordings itself, and no
folders with recordings, is one speaker named after the folder. Links to folders are followed. Files that are not used
are named or counted.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...common.errors import UserError
from ...pipeline.audio import SUFFIXES


@dataclass(frozen=True)
class RecordingFile:
    """A recording.

    Attributes:
        path: where it is.
        root: the corpus folder.
        source: its path inside the corpus folder, with `/`.
        speaker, name: its speaker, and the name of its utterances, in Unicode's composed form (NFC): some systems spell
            file names in decomposed form, and both spellings are one name.
    """

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


@dataclass
class FoundRecordings:
    """The content of corpora.

    Attributes:
        refused: files that look like recordings and cannot be used.
        others: how many files of other kinds there are, by their ending.
    """

    recordings: list[RecordingFile] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def find_recordings(roots: Iterable[Path]) -> FoundRecordings:
    """All recordings under the given corpora, in order.

    Raises:
        UserError: a corpus is no folder, or none holds a recording.
    """
    found = FoundRecordings()
    roots = [Path(os.path.abspath(root)) for root in roots]
    for root in roots:
        if not root.exists():
            raise UserError(f"{root} does not exist; give the folder with the speakers' folders in it")
        if not root.is_dir():
            raise UserError(f"{root} is a file; give the folder that it lies in")
        _find_in(root, found)
    if not found.recordings:
        raise UserError(_why_nothing(roots, found))
    if len(set(roots)) < len(roots):
        raise UserError("the same corpus was given twice")
    found.recordings = _name(found.recordings)
    return found


def _find_in(root: Path, found: FoundRecordings) -> None:
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise UserError(f"{root} cannot be read: {error.strerror}") from error
    loose = [entry for entry in entries if not entry.is_dir() and _is_recording(entry, found)]
    before = len(found.recordings)
    for folder in entries:
        if folder.is_dir() and not folder.name.startswith(".") and not _is_store(folder):
            for path in _recordings_below(folder, found):
                source = path.relative_to(root).as_posix()
                found.recordings.append(RecordingFile(path, root, source, folder.name, ""))
    if len(found.recordings) == before:
        found.recordings += [RecordingFile(path, root, path.name, root.name, "") for path in loose]
        return
    reason = f"lies beside the speakers' folders of {root}, so that its speaker is not known; move it into one"
    found.refused += [Refused(str(path), reason) for path in loose]


def _recordings_below(folder: Path, found: FoundRecordings) -> list[Path]:
    """The recordings in a folder and below. A folder that contains itself, by a link, is entered once."""
    below: list[Path] = []

    def unreadable(error: OSError) -> None:
        found.refused.append(Refused(str(error.filename), f"cannot be read: {error.strerror}"))

    try:
        above = {str(folder): frozenset({_identity(folder)})}  # of a folder and those that it lies in
    except OSError as error:
        unreadable(error)
        return below
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        seen = above[parent]
        kept = []
        for name in sorted(folders):
            path_inside = os.path.join(parent, name)
            if name.startswith(".") or _is_store(Path(path_inside)):
                continue
            try:
                inside = _identity(path_inside)
            except OSError as error:  # it was removed since the folder was listed
                unreadable(error)
                continue
            if inside in seen:
                found.refused.append(Refused(path_inside, "is a link to a folder that it lies in; it is not followed"))
                continue
            above[path_inside] = seen | {inside}
            kept.append(name)
        folders[:] = kept
        below += [path for name in sorted(files) if _is_recording(path := Path(parent, name), found)]
    return below


def _identity(folder: str | Path) -> tuple[int, int]:
    """A key that is equal for two paths of one folder."""
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _is_recording(path: Path, found: FoundRecordings) -> bool:
    """Whether a file is treated as a recording. Other files are counted or refused, except hidden ones."""
    if path.name.startswith("."):
        return False
    if path.suffix.lower() not in SUFFIXES:
        found.others[path.suffix.lower() or "no ending"] += 1
        return False
    if not path.is_file():
        reason = "is no regular file" if path.exists() else "is a link to nothing"
        found.refused.append(Refused(str(path), reason))
        return False
    return True


def _is_store(folder: Path) -> bool:
    return (folder / "zarr.json").exists()


def composed(text: str) -> str:
    """A name in Unicode's composed form."""
    return unicodedata.normalize("NFC", text)


def _name(found: list[RecordingFile]) -> list[RecordingFile]:
    """Name recordings SPEAKER/path without its ending; with it, or with a number, where names would be equal."""
    names = [_short_name(item) for item in found]
    while True:
        counts = Counter(names)
        longer = [long_name(item) if counts[name] > 1 else name for item, name in zip(found, names, strict=True)]
        if longer == names:
            break
        names = longer
    owners: dict[str, RecordingFile] = {}
    for place, item in enumerate(found):
        base, number = names[place], 1
        while other := owners.get(names[place]):
            if other.root != item.root:
                raise UserError(
                    f"{other.path} and {item.path}, of two corpora, would both be called {base}; rename one of the "
                    f"speakers' folders"
                )
            number += 1
            names[place] = f"{base}~{number}"
        owners[names[place]] = item
    return [replace(item, speaker=composed(item.speaker), name=name) for item, name in zip(found, names, strict=True)]


def _short_name(item: RecordingFile) -> str:
    return composed(f"{item.speaker}/{_inside(item).with_suffix('').as_posix()}")


def long_name(item: RecordingFile) -> str:
    """SPEAKER/path with its ending."""
    return composed(f"{item.speaker}/{_inside(item).as_posix()}")


def _inside(item: RecordingFile) -> Path:
    """A recording's path in its speaker's folder."""
    inside = Path(item.source)
    return inside.relative_to(item.speaker) if inside.parts[0] == item.speaker else inside


def _why_nothing(roots: list[Path], found: FoundRecordings) -> str:
    seen = ", ".join(f"{number} {ending}" for ending, number in found.others.most_common(4)) or "nothing at all"
    said = (
        f"no recordings in {', '.join(map(str, roots))}: expected SPEAKER/*.wav (or flac, mp3, m4a, mp4, ...), "
        f"or recordings of one speaker directly inside; found {seen}"
    )
    return "\n".join([said, *map(str, found.refused)])
