"""An f0 curve as a file: lines of seconds and Hz at mel centres, 0 Hz where nothing is voiced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.errors import UserError
from ...common.files import write_whole
from ...pipeline import frames

HEADING = "seconds,hz"
HIGHEST = 4_000.0  # Hz


def dumps(f0: NDArray[np.float32]) -> str:
    """f0 (M,) in Hz at mel centres as text; what is read from it again is the same to the bit."""
    seconds = frames.mel_centres(0, len(f0))
    return "\n".join([HEADING, *(f"{at:.6f},{hertz:.9g}" for at, hertz in zip(seconds, f0.tolist(), strict=True)), ""])


def write(path: Path, f0: NDArray[np.float32]) -> None:
    """Write f0 in Hz at mel centres, float32 (M,), as `dumps` gives it."""
    write_whole(path, dumps(f0).encode())


def check_ours(path: Path) -> None:
    """Raises UserError when a file is there that is not an f0 file."""
    if path.exists() and (not path.is_file() or not path.read_bytes().startswith(HEADING.encode())):
        raise UserError(f"{path} exists and is no f0 file; move it, or give another place with -o")


def loads(text: str, count: int) -> NDArray[np.float32]:
    """f0 float32 (count,) in Hz at the mel centres of a song; text of another grid is read at the nearest time.

    Raises:
        UserError: a line is not two numbers, times do not rise, or a frequency is none.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and not lines[0].lstrip("-+.").startswith(tuple("0123456789")):
        lines = lines[1:]
    try:
        table = np.array([line.replace(";", ",").split(",")[:2] for line in lines], np.float64).reshape(-1, 2)
    except ValueError as error:
        raise UserError("the f0 file has a line that is not `seconds,hz`") from error
    seconds, hertz = table[:, 0], table[:, 1].astype(np.float32)
    if len(table) == 0 or not np.isfinite(table).all() or (np.diff(seconds) <= 0).any():
        raise UserError("the f0 file's times must be numbers that rise")
    if hertz.min() < 0 or hertz.max() > HIGHEST:
        raise UserError(f"the f0 file has {hertz.min():g} to {hertz.max():g} Hz; 0 to {HIGHEST:g} are taken")
    centres = frames.mel_centres(0, count)
    nearest = np.clip(np.searchsorted(seconds, centres), 1, max(1, len(seconds) - 1))
    before = np.minimum(nearest - 1, len(seconds) - 1)
    nearest = np.minimum(nearest, len(seconds) - 1)
    chosen = np.where(centres - seconds[before] <= seconds[nearest] - centres, before, nearest)
    out = hertz[chosen]
    out[np.abs(seconds[chosen] - centres) > 0.05] = 0  # beyond the file's ends nothing is voiced
    return out.astype(np.float32)


def read(path: Path, count: int) -> NDArray[np.float32]:
    """f0 in Hz at mel centres, float32 (count,). Raises UserError when the file is missing or damaged."""
    try:
        return loads(path.read_text("utf-8"), count)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as an f0 file") from error
