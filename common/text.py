"""Text for people: numbers with their nouns, and names that a terminal can print."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Collection
from typing import Any

_ABBREVIATIONS = frozenset({"s", "min", "h", "ms", "dB", "Hz", "MiB", "GiB", "cents"})  # the same for one and many

# C0 and C1 controls but for newline and tab, line separators, bidirectional overrides, and lone surrogates (bytes of a
# file name that are no UTF-8). A terminal executes or hides these instead of showing them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def count(number: float, noun: str, plural: str | None = None) -> str:
    """A number with its noun: `count(1, "speaker")` is `1 speaker`, `count(1200, "step")` is `1,200 steps`.

    Args:
        number: printed without decimals, with commas between thousands.
        noun: in the singular; abbreviations of units (`s`, `dB`) have no plural.
        plural: where it is not `noun` with an s, or its `y` changed to `ies`.
    """
    digits = f"{number:,.0f}"
    return f"{digits} {noun if digits == '1' else plural or plural_of(noun)}"


def plural_of(noun: str) -> str:
    """The regular English plural of a noun, or the noun itself where it is an abbreviation of a unit."""
    if noun in _ABBREVIATIONS:
        return noun
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def listed(words: list[str], joint: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return f" {joint} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def printable(text: str, encoding: str | None = None) -> str:
    """Text that can be printed anywhere: control characters are escaped, as in `\\x1b`.

    Names of speakers, files and models come from other people, so that they may hold terminal escapes. Characters that
    the terminal's `encoding` (by default that of standard output) lacks become `?`.
    """
    encoding = encoding or sys.stdout.encoding or "utf-8"
    escaped = _UNPRINTABLE.sub(lambda found: _escape(found[0]), text)
    return escaped.encode(encoding, "replace").decode(encoding, "replace")


def json_text(value: Any, encoding: str | None = None) -> str:
    """Indented JSON of a value, with any script as it is where the terminal has it, and no control characters."""
    encoding = (encoding or sys.stdout.encoding or "utf-8").lower().replace("-", "")
    text = json.dumps(value, indent=1, ensure_ascii=encoding != "utf8")
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(character: str) -> str:
    number = ord(character)
    if 0xD800 <= number < 0xE000:  # a surrogate: a byte of a file name that is no text
        return "?"
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def clock(seconds: float) -> str:
    """A time in a recording: `0:05.0`, `1:02:03.4`."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{start}:{rest / 10:04.1f}"


def time_ranges(ranges: list[tuple[float, float]], most: int = 4) -> str:
    """Times in a recording, in seconds, for a message: `0:05.0-0:12.4, 1:00.0-1:02.5 and 3 more`."""
    shown = ", ".join(f"{clock(start)}-{clock(end)}" for start, end in ranges[:most])
    return f"{shown} and {len(ranges) - most} more" if len(ranges) > most else shown


def note_name(midi: int) -> str:
    """The name of a note by its MIDI number: 69 is `A4`, 61 `C#4`."""
    octave, step = divmod(midi, 12)
    return f"{('C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B')[step]}{octave - 1}"


def is_utf8(text: str) -> bool:
    """Whether a text can be written as UTF-8: one with half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def number_or(text: str, words: Collection[str], expected: str, name: str = "") -> float | str:
    """A finite number, or one of some words, in lower case.

    Args:
        text: such as a user types it; case and spaces around it do not matter.
        words: in lower case.
        expected: ends the error message.
        name: begins it.

    Raises:
        ValueError: it is neither.
    """
    word = text.strip().lower()
    if word in words:
        return word
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name}{text!r}: expected {expected}")
    return number
