"""Encoding a mixed song into a file, which is written whole or not at all."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ...common.errors import UserError
from ...common.files import new_file_beside
from ...pipeline import frames
from ..settings import OutputSettings
from . import content_credentials, provenance
from .formats import choose_format
from .limiter import LimiterGain
from .output_paths import STANDARD

PIECE = 65_536  # samples written at once: libsndfile's Vorbis encoder overflows on more
WAV_BYTES = 2**31  # beyond which a WAV gets RF64's header: WAV's own has no room for 4 GiB


class Blocks(Protocol):
    """Sound at 44.1 kHz that can be iterated several times: float32 (n, channels) a block."""

    channels: int

    def __iter__(self) -> Iterator[NDArray[np.float32]]: ...


@dataclass(frozen=True)
class SourceLength:
    """The length of a song, from which the length of its result at any rate follows."""

    samples: int
    rate: int  # Hz


@dataclass(frozen=True)
class SoundFormat:
    """The format of a file: sample rate in Hz, channels, libsndfile's format and subtype."""

    rate: int
    channels: int
    form: str
    subtype: str


def write_output(
    mix: Blocks,
    out: Path,
    settings: OutputSettings,
    length: SourceLength,
    suffix: str | None = None,
    about: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> LimiterGain | None:
    """Encode a mix in the format that `suffix` (or the name) says, with a limiter for peaks beyond full scale.

    It is written beside `out` under a random name, and replaces `out` when it is complete. At the song's own rate it
    has the number of samples of the song; at another one what lasts as long, to the nearest sample.
    `about`, what made it, goes into the tags (provenance.py), and into Content Credentials where these are wanted;
    so does a `title`, in place of the file's name.

    Returns:
        What was done to its peaks; None for floating-point samples, which have room for any.

    Raises:
        UserError: the format does not have that bit depth or rate, or the disk does not take the file.
    """
    rate = settings.rate or length.rate
    form, subtype = choose_format(suffix or out.suffix, settings.bit_depth, rate)
    total = frames.resampled_length(length.samples, length.rate, rate)
    if form == "WAV" and total * mix.channels * 4 > WAV_BYTES:
        form = "RF64"
    # Mixed and resampled twice, first to find the peaks: that costs next to nothing beside the conversion.
    limiter = None if subtype == "FLOAT" else LimiterGain.of(at_rate(mix, rate, total), rate)
    blocks = at_rate(mix, rate, total)
    blocks = blocks if limiter is None else limiter.apply(blocks)
    try:
        if out == STANDARD:
            with tempfile.TemporaryFile() as file:
                _encode(file, blocks, SoundFormat(rate, mix.channels, form, subtype), about, title)
                _sign(file, out, suffix, about, title)
                file.seek(0)
                shutil.copyfileobj(file, sys.stdout.buffer)
                sys.stdout.buffer.flush()
        else:
            with new_file_beside(out) as file:
                _encode(file, blocks, SoundFormat(rate, mix.channels, form, subtype), about, title)
                _sign(file, out, suffix, about, title)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
    return limiter


def at_rate(mix: Blocks, rate: int, length: int) -> Iterator[NDArray[np.float32]]:
    """A mix resampled to `rate` Hz: `length` samples together, (n, channels) a block."""
    if rate == frames.MEL_RATE:
        yield from mix
        return
    stream = soxr.ResampleStream(frames.MEL_RATE, rate, mix.channels, dtype="float32", quality="HQ")
    left = length
    for block in mix:
        resampled = stream.resample_chunk(block)[:left]
        left -= len(resampled)
        yield resampled
    last = stream.resample_chunk(np.zeros((0, mix.channels), np.float32), last=True)[:left]
    yield np.pad(last, ((0, left - len(last)), (0, 0)))


def _sign(file: IO[bytes], out: Path, suffix: str | None, about: Mapping[str, Any] | None, title: str | None) -> None:
    if about is not None:
        content_credentials.sign(file, (suffix or out.suffix).lower(), title or out.name, about)


def _encode(
    file: IO[bytes],
    blocks: Iterable[NDArray[np.float32]],
    kind: SoundFormat,
    about: Mapping[str, Any] | None,
    title: str | None,
) -> None:
    """Encode blocks (n, channels) into an open file. Raises OSError if writing fails."""
    guarded = _GuardedFile(file)
    try:
        with soundfile.SoundFile(guarded, "w", kind.rate, kind.channels, kind.subtype, format=kind.form) as sound:
            if about is not None:
                provenance.tag(sound, about, title)
            for block in blocks:
                for start in range(0, len(block), PIECE):
                    sound.write(block[start : start + PIECE])
                    guarded.check()
    except (soundfile.LibsndfileError, AssertionError) as error:  # soundfile's error for a short write
        guarded.check()
        raise OSError(None, str(error) or "libsndfile could not encode it") from error
    guarded.check()
    _clear_timestamp(file)
    file.flush()


class _GuardedFile:
    """A file for libsndfile, which calls it from C where an exception would be printed and lost: it is kept."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise what a write raised."""
        if self._error is not None:
            raise self._error

    def write(self, data: bytes) -> int:
        return self._kept(self._file.write, data) if self._error is None else 0

    def read(self, count: int = -1) -> bytes:
        return self._file.read(count)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._kept(self._file.seek, offset, whence)  # it may write buffered data

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        pass

    def _kept(self, method: Callable[..., int], *arguments: Any) -> int:
        try:
            return method(*arguments)
        except OSError as error:
            self._error = self._error or error
            return 0


def _clear_timestamp(file: IO[bytes]) -> None:
    """libsndfile writes the time into a float WAV's PEAK chunk; the same samples are to give the same bytes."""
    file.seek(0)
    place = file.read(4_096).find(b"PEAK")
    if place >= 0:  # id, size and version, 4 bytes each, then the time
        file.seek(place + 12)
        file.write(bytes(4))
