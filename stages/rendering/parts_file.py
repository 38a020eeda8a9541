"""The file of `svc render --parts`: the voice of each stem, or of each part of a song."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ...common.errors import UserError
from ...common.files import read_regular
from ...common.records import RecordError, read_record
from ...common.text import is_utf8
from ..settings import ConversionSettings, RenderSettings
from ..settings.render import parse_breaths, parse_key

MOST_BYTES = 1 << 20
MOST_PARTS = 64
GAIN_DB = -60.0, 24.0
OWN_KEYS = ("song", "sing", "model", "f0_file", "gain_db", "start", "end")
SETTING_KEYS = tuple(field.name for field in fields(ConversionSettings))
EXAMPLE = (
    '{"parts": [{"song": "lead.wav", "model": "runs/a", "speaker": "alto", "key": 0}, '
    '{"song": "band.wav", "sing": false, "gain_db": -3}]}'
)


@dataclass(frozen=True)
class Part:
    """A stem, or a part of it.

    Attributes:
        song: a recording; all begin at the same moment.
        settings: of the conversion.
        sing: whether it is converted; else it is mixed unchanged.
        model: the run; None is the command's.
        f0_file: the target f0 instead of the tracked one (stages.rendering.f0_file).
        gain_db: by which it is made louder in the mix.
        start, end: seconds; outside it is silent. None is the recording's end.
    """

    song: Path
    settings: RenderSettings
    sing: bool = True
    model: Path | None = None
    f0_file: Path | None = None
    gain_db: float = 0.0
    start: float = 0.0
    end: float | None = None


def read_parts(path: Path, settings: RenderSettings) -> list[Part]:
    """The parts of a file. `settings` are those of a part that gives none of its own; paths are relative to the file.

    Raises:
        UserError: it is no such file; the message names the part and what was expected.
    """
    try:
        given = json.loads(read_regular(path, MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON: {error}", f"Expected {EXAMPLE}") from error
    return parse_parts(given.get("parts") if isinstance(given, dict) else None, str(path), path.parent, settings)


def parse_parts(given: Any, origin: str, folder: Path, settings: RenderSettings) -> list[Part]:
    """The parts of a list as it is in a file.

    Args:
        given: the list.
        origin: where it is from, for messages.
        folder: its paths are relative to this folder.
        settings: those of a part that gives none of its own.

    Raises:
        UserError: as read_parts.
    """
    if not isinstance(given, list) or not given or len(given) > MOST_PARTS:
        raise UserError(f"{origin} has no list of 1 to {MOST_PARTS} parts", f"Expected {EXAMPLE}")
    found = [_part(f"{origin}: part {number}", folder, part, settings) for number, part in enumerate(given, 1)]
    if not any(part.sing for part in found):
        raise UserError(f"{origin}: no part would be converted", 'Leave out "sing": false of one')
    return found


def _part(where: str, folder: Path, given: Any, settings: RenderSettings) -> Part:
    if not isinstance(given, dict) or not isinstance(given.get("song"), str):
        raise UserError(f'{where} has no "song"', f"Expected {EXAMPLE}")
    if unknown := [str(key) for key in given if key not in (*OWN_KEYS, *SETTING_KEYS)]:
        raise UserError(f"{where}: {', '.join(unknown)} not known", f"Known: {', '.join((*OWN_KEYS, *SETTING_KEYS))}")
    named = [given.get("model", ""), given.get("f0_file", "")]
    if not isinstance(given.get("sing", True), bool) or not all(isinstance(each, str) for each in named):
        raise UserError(f'{where}: "sing" is true or false, "model" and "f0_file" are paths')
    start, end = _seconds(where, given.get("start", 0.0)), given.get("end")
    end = None if end is None else _seconds(where, end)
    if end is not None and end <= start:
        raise UserError(f"{where} ends at {end:g} s and begins at {start:g} s")
    gain_db = _number(where, "gain_db", given.get("gain_db", 0.0))
    if not GAIN_DB[0] <= gain_db <= GAIN_DB[1]:
        raise UserError(f"{where}: a gain lies between {GAIN_DB[0]:g} and {GAIN_DB[1]:g} dB, not {gain_db:g}")
    for name in ("song", "model", "f0_file"):
        if "\0" in given.get(name, "") or not is_utf8(given.get(name, "")):
            raise UserError(f"{where}: {name} {given[name]!a} cannot be the path of a file")
    return Part(
        folder / given["song"],
        _settings(where, given, settings),
        given.get("sing", True),
        folder / given["model"] if "model" in given else None,
        folder / given["f0_file"] if "f0_file" in given else None,
        gain_db,
        start,
        end,
    )


def _settings(where: str, given: Mapping[str, Any], settings: RenderSettings) -> RenderSettings:
    own = {key: value for key, value in given.items() if key in SETTING_KEYS}
    try:
        for name, parse in (("key", parse_key), ("breaths", parse_breaths)):
            if isinstance(own.get(name), str):
                own[name] = parse(own[name])
        read_record(ConversionSettings, own)  # each value is of its setting's type
        return replace(settings, **own)
    except (RecordError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error


def _seconds(where: str, value: Any) -> float:
    """Seconds as a number, or as `1:02.5`."""
    if isinstance(value, str):
        minutes, _, rest = value.rpartition(":")
        try:
            seconds = 60 * float(minutes or 0) + float(rest)
        except ValueError as error:
            raise UserError(f"{where}: {value!r} is no time; expected seconds, or 1:02.5") from error
    else:
        seconds = _number(where, "a time", value)
    if not 0 <= seconds < math.inf:
        raise UserError(f"{where}: {value!r} is no time in a song")
    return seconds


def _number(where: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UserError(f"{where}: {name} must be a number, not {value!r}")
    return float(value)
