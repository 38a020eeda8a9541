"""The origin of a result, inside the file itself: RIFF, Vorbis or ID3 tags, and Content Credentials with c2pa."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import soundfile

from ... import __version__

SYNTHETIC = "synthetic voice"
LONGEST = 30_000  # bytes of a comment


def about(converter: Mapping[str, Any], key: float) -> dict[str, Any]:
    """The origin of a conversion: the run's hash and step, the voice, the key.

    All settings are in the description beside the file; this record is the same for the same sound.

    Args:
        converter: Converter.metadata of it.
        key: semitones above the song.
    """
    known = {name: converter[name] for name in ("run_sha256", "step") if name in converter}
    return {**known, "speaker": converter.get("settings", {}).get("speaker"), "key": key}


def comment(about: Mapping[str, Any]) -> str:
    """The comment of a result: a statement that it is synthetic, and its origin as JSON."""
    known = {"synthetic": True, "svc": __version__, **about}
    return f"{SYNTHETIC}; {json.dumps(known, ensure_ascii=True, sort_keys=True)}"[:LONGEST]


def tag(file: soundfile.SoundFile, about: Mapping[str, Any], title: str | None = None) -> None:
    """Write the tags of a file that was just opened for writing, before its samples."""
    tags = {"software": f"svc {__version__}", "comment": comment(about), **({"title": title} if title else {})}
    for name, value in tags.items():
        setattr(file, name, value)


def read(path: Path) -> dict[str, Any]:
    """The origin in a file's comment; empty if there is none."""
    with soundfile.SoundFile(path) as file:
        text = file.comment or ""
    _, found, rest = text.partition("; ")
    if not found or not text.startswith(SYNTHETIC):
        return {}
    try:
        said = json.loads(rest)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
