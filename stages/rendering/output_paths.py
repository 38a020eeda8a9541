"""The paths of results: unique, checked before anything is computed, never replacing a file that svc did not make."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...common.errors import UserError
from ...common.files import NAME_BYTES, read_regular
from .formats import FORMATS

MADE_BY = "svc render"
STANDARD = Path("-")  # standard input or output
MOST_DESCRIPTION_BYTES = 1 << 30  # it holds the target f0 as text, 1 MB a minute at most


def safe_name(text: str) -> str:
    """A name as a part of a file's name on any system."""
    return "".join("_" if letter in '/\\:*?"<>|' or ord(letter) < 32 else letter for letter in text)


def same_name(path: Path) -> str:
    """A key that is equal for two spellings of one path: absolute, in NFC, in one case (as on some file systems)."""
    return unicodedata.normalize("NFC", os.path.abspath(path)).casefold()


def plan_outputs(songs: Sequence[Path], speaker: str, out: Path | None, suffix: str = ".wav") -> list[Path]:
    """Where each song's result goes, all different: `song.SPEAKER.wav`.

    It is beside the song, or in the folder `out`, or is the file `out` (of a single song). Songs of one name are
    distinguished by their endings (`song.flac.SPEAKER.wav`), and where these are the same, or the songs are in folders
    of other names, by their folders (`v1_song.SPEAKER.wav`).

    Raises:
        UserError: `out` is no name for a result.
    """
    if out == STANDARD or (out is None and list(songs) == [STANDARD]):
        if len(songs) > 1:
            raise UserError(f"{len(songs)} songs cannot go to standard output; give a folder")
        return [STANDARD]
    if out is not None and len(songs) == 1 and not out.is_dir() and out.suffix:
        if out.suffix.lower() not in FORMATS:
            raise UserError(
                f"{out} does not end in {', '.join(FORMATS)}; a result is one of these, or lies in a folder"
            )
        return [out]
    return place_outputs(songs, f".{safe_name(speaker)}{suffix}", out)


def place_outputs(songs: Sequence[Path], ending: str, out: Path | None) -> list[Path]:
    """A file of each song, all different: `song` + `ending` beside the song or in the folder `out`.

    Songs of one name are distinguished as in `plan_outputs`.
    """
    stems = _unique_stems(songs, apart=out is None)
    folders = [song.parent if out is None and song != STANDARD else out or Path() for song in songs]
    return [folder / f"{stem}{ending}" for folder, stem in zip(folders, stems, strict=True)]


def _unique_stems(songs: Sequence[Path], apart: bool) -> list[str]:
    """A name for each song, none twice; with `apart` only within a folder."""

    def key(index: int, stem: str) -> str:
        return same_name((songs[index].parent if apart else Path()) / stem)

    stems = ["stdin" if song == STANDARD else song.stem for song in songs]
    groups: dict[str, list[int]] = {}
    for index, stem in enumerate(stems):
        groups.setdefault(key(index, stem), []).append(index)
    taken = {name for name, group in groups.items() if len(group) == 1}
    for group in groups.values():
        if len(group) == 1:
            continue
        for spelling in zip(*(_spellings(songs[index], stems[index]) for index in group), strict=False):
            keys = {key(index, stem) for index, stem in zip(group, spelling, strict=True)}
            if len(keys) == len(group) and not keys & taken:
                break
        for index, stem in zip(group, spelling, strict=True):
            stems[index] = stem
        taken |= keys
    return stems


def _spellings(song: Path, stem: str) -> Iterator[str]:
    """Names for a song, from short to long: with its ending, its folder, both, the folder above, and so on."""
    yield song.name
    folders = [safe_name(part) for part in song.absolute().parts[1:-1]]
    for depth in range(1, len(folders) + 1):
        prefix = "_".join(folders[-depth:])
        yield f"{prefix}_{stem}"
        yield f"{prefix}_{song.name}"
    for number in range(1, 1_000):  # if folders do not distinguish them, as "a_b/c" and "a/b_c"
        digest = hashlib.sha256(os.fsencode(song.absolute())).hexdigest()
        yield f"{stem}_{digest[: 7 + number]}"


def description_path(out: Path) -> Path:
    """Where a result's description lies: `song.json` beside `song.wav`, or `song.wav.json` if another's is there."""
    plain, full = out.with_suffix(".json"), out.with_name(f"{out.name}.json")
    for path in (plain, full):
        if (said := _read(path)) is not None and said.get("result", out.name) == out.name:
            return path
    # A description of another format of the song stays; check_writable refuses files that are not ours.
    return full if _read(plain) is not None else plain


def picture_path(out: Path) -> Path:
    """Where a result's picture lies, beside its description."""
    return description_path(out).with_suffix(".png")


def made_here(out: Path) -> bool:
    """Whether the description beside a result says that svc render made it."""
    said = _read(description_path(out))
    return said is not None and said.get("result", out.name) == out.name


def check_writable(out: Path, song: Path | None = None, named: bool = True) -> None:
    """Check every path that a result will use.

    Args:
        out: the result, or STANDARD.
        song: its song.
        named: whether the user gave exactly this name: then the result of another song may be replaced.

    Raises:
        UserError: writing would replace a file that svc did not make, the song, or (unless `named`) another song's
            result; a name is too long; or the folder does not exist.
    """
    if out == STANDARD:
        return
    if song is not None and same_name(out) == same_name(song):
        raise UserError(f"the result would replace the song {song}", "Give another place with -o")
    if not out.parent.is_dir():
        raise UserError(f"the folder {out.parent} does not exist", "Make it, or give another place with -o")
    description = description_path(out)
    for path in (out, description, description.with_suffix(".png")):
        if (length := len(os.fsencode(path.name))) > NAME_BYTES:
            raise UserError(
                f"the name {path.name} has {length} bytes; file systems take {NAME_BYTES}",
                "Give a shorter one with -o",
            )
    if not os.access(out.parent, os.W_OK):
        raise UserError(f"the folder {out.parent} cannot be written to", "Give another place with -o")
    if made_here(out):
        _check_same_song(out, song, named)
        return
    for path in (out, description, description.with_suffix(".png")):
        if os.path.lexists(path):
            raise UserError(f"{path} exists and was not made by svc render", "Move it, or give another place with -o")


def _check_same_song(out: Path, song: Path | None, named: bool) -> None:
    said = _read(description_path(out)) or {}
    other = said.get("song")
    if named or song is None or not isinstance(other, str) or not out.exists():
        return
    if same_name(Path(other)) != same_name(song) and Path(other).exists():
        raise UserError(
            f"{out} is the result of another song, {other}", "Give another place with -o, or that very name"
        )


def _read(path: Path) -> Mapping[str, Any] | None:
    """A description of svc render; None where there is none."""
    try:
        said = json.loads(read_regular(path, MOST_DESCRIPTION_BYTES).decode("utf-8"))
    except (OSError, ValueError, RecursionError, UserError):
        return None
    return said if isinstance(said, dict) and said.get("made") == MADE_BY else None
