"""An f0 curve as a file: lines of seconds and Hz at mel centres, 0 Hz where unvoiced; or a MIDI file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.errors import UserError
from ...common.files import read_regular, write_whole
from ...pipeline import frames
from . import midi_file
from .midi_file import MidiChoice

HEADING = "seconds,hz"
HIGHEST = 4_000.0  # Hz
MOST_BYTES = 1 << 28  # of 24 hours: 8 million lines


def dumps(f0: NDArray[np.float32]) -> str:
    """f0 (M,) in Hz at mel centres as text; reading it gives the same bits again."""
    seconds = frames.mel_centres(0, len(f0))
    return "\n".join([HEADING, *(f"{at:.6f},{hertz:.9g}" for at, hertz in zip(seconds, f0.tolist(), strict=True)), ""])


def write(path: Path, f0: NDArray[np.float32]) -> None:
    """Write f0 in Hz at mel centres, float32 (M,), in the format of `dumps`; as a MIDI file if the name ends so."""
    write_whole(path, midi_file.dumps(f0) if path.suffix.lower() in midi_file.SUFFIXES else dumps(f0).encode())


def check_ours(path: Path) -> None:
    """Raises UserError when a file is there that is not an f0 file; of MIDI files only those that `write` made are."""
    if path.exists() and (not path.is_file() or not _is_ours(path.read_bytes())):
        raise UserError(f"{path} exists and is no f0 file; move it, or give another place with -o")


def _is_ours(data: bytes) -> bool:
    return data.startswith(HEADING.encode()) or midi_file.is_ours(data)


def loads(data: bytes, count: int, choice: MidiChoice | None = None) -> NDArray[np.float32]:
    """f0 float32 (count,) in Hz at the mel centres of a song, from a file's bytes: lines of `seconds,hz`, or MIDI.

    Lines on another grid are read at the nearest time. `choice` chooses the melody of a MIDI file.

    Raises:
        UserError: a line is not two numbers, times do not rise, or a frequency is none; or the MIDI is no melody.
    """
    if midi_file.is_midi(data):
        return midi_file.loads(data, count, choice)
    if choice not in (None, MidiChoice()):
        raise UserError("expected a MIDI file, because a track or channel was chosen; found none")
    try:
        seconds, hertz = _table(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError("expected lines of `seconds,hz` or a MIDI file, found neither") from error
    centres = frames.mel_centres(0, count)
    nearest = np.clip(np.searchsorted(seconds, centres), 1, max(1, len(seconds) - 1))
    before = np.minimum(nearest - 1, len(seconds) - 1)
    nearest = np.minimum(nearest, len(seconds) - 1)
    chosen = np.where(centres - seconds[before] <= seconds[nearest] - centres, before, nearest)
    out = hertz[chosen]
    out[np.abs(seconds[chosen] - centres) > 0.05] = 0  # frames beyond the file's ends are unvoiced
    return out.astype(np.float32)


def _table(text: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """The seconds and Hz of a text, (N,) each. Raises UserError, which names the line."""
    seconds: list[float] = []
    hertz: list[float] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if not seconds and not line.lstrip("-+. ").startswith(tuple("0123456789")):
            continue  # a heading
        fields = line.replace(";", ",").split(",")
        try:
            at, value = float(fields[0]), float(fields[1])
        except (ValueError, IndexError) as error:
            raise _refused(number, line, "`seconds,hz`") from error
        if not math.isfinite(at) or (seconds and at <= seconds[-1]):
            raise _refused(number, line, "times that are numbers and rise")
        if not 0 <= value <= HIGHEST:
            raise _refused(number, line, f"0 to {HIGHEST:g} Hz")
        seconds.append(at)
        hertz.append(value)
    if not seconds:
        raise UserError("expected lines of `seconds,hz`, found none", "svc render SONG --f0-only writes an f0 file")
    return np.array(seconds), np.array(hertz, np.float32)


def _refused(number: int, line: str, expected: str) -> UserError:
    return UserError(f"line {number}: expected {expected}, found {line[:60]!r}")


def check_readable(path: Path, choice: MidiChoice | None = None) -> None:
    """Check a file as `read` does, without the song's length. Raises UserError."""
    read(path, 0, choice)


def read(path: Path, count: int, choice: MidiChoice | None = None) -> NDArray[np.float32]:
    """f0 in Hz at mel centres, float32 (count,). Raises UserError when the file is missing or damaged."""
    try:
        return loads(read_regular(path, MOST_BYTES), count, choice)
    except OSError as error:
        raise UserError(f"{path} cannot be read as an f0 file: {error.strerror}") from error
    except UserError as error:
        raise UserError(f"{path} is no f0 file: {error.message}", error.hint) from error
