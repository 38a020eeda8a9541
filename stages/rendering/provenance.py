"""What made a result, inside the file itself: RIFF, Vorbis or ID3 tags, and Content Credentials where c2pa is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import soundfile

from ... import __version__

SYNTHETIC = "synthetic voice"
LONGEST = 30_000  # bytes of a comment


def comment(about: dict[str, Any]) -> str:
    """The comment of a result: that it is synthetic, and as JSON what made it."""
    known = {"synthetic": True, "svc": __version__, **about}
    return f"{SYNTHETIC}; {json.dumps(known, ensure_ascii=True, sort_keys=True)}"[:LONGEST]


def tag(file: soundfile.SoundFile, title: str, about: dict[str, Any]) -> None:
    """Write the tags of a file that was just opened for writing, before its samples."""
    for name, value in (("title", title), ("software", f"svc {__version__}"), ("comment", comment(about))):
        setattr(file, name, value)


def read(path: Path) -> dict[str, Any]:
    """What a file's comment says of how it was made; empty where it says nothing."""
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
