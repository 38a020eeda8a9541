"""Which songs a command means: files as they are, and what folders hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...common.errors import UserError
from ...pipeline.audio import SUFFIXES
from .output_paths import STANDARD, made_here


def find_songs(paths: Sequence[Path]) -> list[Path]:
    """Files in the order given, and in place of a folder the recordings in it and below, in order of their names.

    What svc render made is no song, and neither is what is hidden.

    Raises:
        UserError: a folder holds no recording.
    """
    songs: list[Path] = []
    for path in paths:
        if path == STANDARD or not path.is_dir():
            songs.append(path)
            continue
        found = sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in SUFFIXES
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
            and not made_here(file)
        )
        if not found:
            raise UserError(f"{path} holds no song: expected files that end in {', '.join(sorted(SUFFIXES))}")
        songs += found
    return list(dict.fromkeys(songs))
