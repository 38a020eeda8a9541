"""The songs of a command: files, and the recordings in folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...common.errors import UserError
from ...pipeline.audio import SUFFIXES
from .formats import parse_format
from .input_song import check_song, naming
from .output_paths import STANDARD, check_writable, made_here


def check_given(songs: Sequence[Path], output: Path | None, suffix: str) -> list[Path]:
    """Check the arguments of a call by the file system alone, in a tenth of a second, without loading torch.

    Returns:
        The songs of `find_songs`.

    Raises:
        UserError: the format is not known, a folder holds no song, or the only result cannot be written.
        AudioError: the only song is not there, or no file.
    """
    parse_format(suffix)
    found = check_songs(songs)
    if len(found) == 1 and output is not None and output.suffix and not output.is_dir():
        check_writable(output, found[0])
    return found


def check_songs(songs: Sequence[Path]) -> list[Path]:
    """The songs of `find_songs`; a single song must exist. If one of several is missing, the others are rendered.

    Raises UserError and AudioError as `check_given`.
    """
    found = find_songs(songs)
    if len(found) == 1:
        with naming(found[0]):
            check_song(found[0])
    return found


def find_songs(paths: Sequence[Path]) -> list[Path]:
    """Files in the order given, and in place of a folder the recordings in it and below, in order of their names.

    Results of svc render and hidden files are not songs.

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
