"""Files from elsewhere, opened only if they are regular files: reading a FIFO or a device would block."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

MOST_JSON_BYTES = 4 << 20


def check_regular(path: Path) -> None:
    """Raises ValueError if `path`, links followed, is no regular file, and FileNotFoundError if it is not there."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFDIR: "a folder", stat.S_IFSOCK: "a socket"}
        raise ValueError(f"expected a regular file as {path.name}; found {kinds.get(stat.S_IFMT(mode), 'a device')}")


def read_json_object(path: Path, most_bytes: int = MOST_JSON_BYTES) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ValueError: it is no regular file, larger than `most_bytes`, or no JSON object in UTF-8.
        FileNotFoundError: it is not there.
    """
    check_regular(path)
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"{path.name} is larger than {most_bytes >> 20} MiB, which no settings need")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is no JSON: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object in {path.name}; found a {type(found).__name__}")
    return found
