"""log.jsonl and vocoder.jsonl: the results of each validation of a training, one JSON object a line, only appended to.

A line of a run that was killed may be cut short: it is skipped when the log is read, and the next line begins on a line
of its own. A training that continues from an earlier checkpoint repeats some steps: later lines supersede the earlier
ones of the same steps.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

from ..common.errors import UserError

# The names in svc 0.1.
OLD_NAMES = {
    "words": "content",
    "voice": "speaker",
    "in_tune": "pitch",
    "lively": "variance",
    "unwarped": "formant_inversion",
    "held_out_mel": "held_out",
}
MAX_BYTES = 2**30

Line = dict[str, float]


class TrainingLog:
    """The log of one training."""

    def __init__(self, path: Path):
        self.path = path

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Append the results of the validation at a step; they are on disk when this returns."""
        line = json.dumps({"step": step, **{name: round(value, 5) for name, value in values.items()}}) + "\n"
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # the last line was cut short
                    line = "\n" + line
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Line]:
        """The lines in the order of their steps, without those that were cut short or superseded.

        Raises UserError when the log is not a regular file, or absurdly large.
        """
        if not self.path.exists():
            return []
        if not self.path.is_file() or self.path.stat().st_size > MAX_BYTES:
            raise UserError(f"{self.path} is not the log of a training")
        kept: list[Line] = []
        for text in self.path.read_bytes().splitlines():
            if (line := _parsed(text)) is not None:
                while kept and kept[-1]["step"] >= line["step"]:
                    kept.pop()
                kept.append(line)
        return kept


def _parsed(text: bytes) -> Line | None:
    """A line's numbers by name; None when it was cut short, or is not of a log."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or type(line.get("step")) is not int:
        return None
    numbers: Line = {}
    for name, value in line.items():
        if isinstance(value, int | float) and math.isfinite(value):
            numbers[OLD_NAMES.get(str(name), str(name))] = value
    return numbers
