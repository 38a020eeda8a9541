"""A converted song as a file: where it goes, and how it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ...common.errors import UserError
from ...pipeline import frames
from ..settings import OutputSettings
from . import provenance
from .mixer import Mixer

HEADROOM = 0.99  # of full scale: what is louder is turned down
MADE_BY = "svc render"

# suffix -> (libsndfile's format, its subtype for each depth)
FORMATS: dict[str, tuple[str, dict[str, str]]] = {
    ".wav": ("WAV", {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}),
    ".flac": ("FLAC", {"16": "PCM_16", "24": "PCM_24"}),
    ".mp3": ("MP3", {"16": "MPEG_LAYER_III"}),
    ".ogg": ("OGG", {"16": "VORBIS"}),
}
LOSSY_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # Hz that MP3 knows


def check_writable(out: Path, song: Path | None = None) -> None:
    """Raises UserError where writing `out`, or what lies beside it, would touch a file that svc did not make."""
    if song is not None and out.absolute() == song.absolute():
        raise UserError(f"the result would overwrite the song {song}; give another place with -o")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent} does not exist; make it, or give another place with -o")
    if made_here(out):
        return
    for path in (out, out.with_suffix(".json"), out.with_suffix(".png")):
        if path.exists():
            raise UserError(f"{path} exists and was not made by svc render; move it, or give another place with -o")


def made_here(out: Path) -> bool:
    """Whether the description beside a result says that svc render made it."""
    try:
        said = json.loads(out.with_suffix(".json").read_text("utf-8"))
        return said.get("made") == MADE_BY and said.get("result", out.name) == out.name
    except (OSError, ValueError, AttributeError):
        return False


def output_path(song: Path, speaker: str, out: Path | None, songs: Sequence[Path], suffix: str = ".wav") -> Path:
    """Where a song's result goes: `song.SPEAKER.wav` beside it or in the folder `out`, or the file `out`.

    Of several `songs` those whose names differ only in their ending keep it.
    """
    safe = "".join("_" if letter in '/\\:*?"<>|' else letter for letter in speaker)
    namesakes = [other for other in songs if other.stem == song.stem and (out or other.parent == song.parent)]
    name = f"{song.name if len(namesakes) > 1 else song.stem}.{safe}{suffix}"
    if out is None:
        return song.parent / name
    if out.is_dir() or len(songs) > 1 or not out.suffix:
        out.mkdir(parents=True, exist_ok=True)
        return out / name
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"{out} does not end in {', '.join(FORMATS)}; results are one of these, or lie in a folder")
    return out


def write_output(
    mixer: Mixer,
    out: Path,
    settings: OutputSettings,
    song_samples: int,
    song_rate: int,
    about: Mapping[str, Any] | None = None,
) -> float:
    """Write the result in the format that its name asks for, turned down if it would clip; returns the gain used.

    It is aside until it is whole. At the song's own rate it has the song's number of samples; at another one what lasts
    as long, to the nearest sample. `about`, what made it, goes into the file's tags (provenance.py).

    Raises:
        UserError: the format does not take that depth or rate, or the disk does not take the file.
    """
    rate = settings.rate or song_rate
    form, subtype = choose_format(out, settings.bit_depth, rate)
    length = frames.resampled_length(song_samples, song_rate, rate)
    if form == "WAV" and length * mixer.channels * 4 > 2**31:
        form = "RF64"  # a WAV's header has no room for more than 4 GiB
    # Mixed and resampled twice, once to learn how loud it gets: both cost next to nothing beside singing.
    peak = max((float(np.abs(block).max(initial=0.0)) for block in _at_rate(mixer, rate, length)), default=0.0)
    gain = min(1.0, HEADROOM / peak) if peak > 0 and subtype != "FLOAT" else 1.0
    done = out.with_name(f".{out.name}.done")
    try:
        with soundfile.SoundFile(done, "w", rate, mixer.channels, subtype, format=form) as file:
            if about is not None:
                provenance.tag(file, about)
            for block in _at_rate(mixer, rate, length):
                for start in range(0, len(block), 65_536):  # libsndfile's Vorbis encoder overflows on larger writes
                    file.write(block[start : start + 65_536] * np.float32(gain))
        _clear_timestamp(done)
        done.replace(out)
    except (soundfile.LibsndfileError, OSError) as error:
        raise UserError(f"cannot write {out}: {error}") from error
    finally:
        done.unlink(missing_ok=True)
    return gain


def _clear_timestamp(path: Path) -> None:
    """libsndfile writes the time into a float WAV's PEAK chunk; the same samples are to give the same bytes."""
    with path.open("r+b") as file:
        place = file.read(4_096).find(b"PEAK")
        if place >= 0:  # id, size and version, 4 bytes each, then the time
            file.seek(place + 12)
            file.write(bytes(4))


def choose_format(out: Path, bit_depth: str, rate: int) -> tuple[str, str]:
    """libsndfile's format and subtype. Raises UserError where a format does not take a bit depth or rate."""
    form, depths = FORMATS[out.suffix.lower()]
    if bit_depth not in depths:
        raise UserError(f"{out.suffix} files have no bit depth {bit_depth!r}; choose {' or '.join(depths)}, or .wav")
    if form == "MP3" and rate not in LOSSY_RATES:
        raise UserError(f"MP3 knows no sample rate of {rate} Hz; give --rate 44100, or another format")
    return form, depths[bit_depth]


def _at_rate(mixer: Mixer, rate: int, length: int) -> Iterator[NDArray[np.float32]]:
    """The mixer's blocks at a rate, `length` samples together."""
    if rate == frames.MEL_RATE:
        yield from mixer
        return
    stream = soxr.ResampleStream(frames.MEL_RATE, rate, mixer.channels, dtype="float32", quality="HQ")
    left = length
    for block in mixer:
        resampled = stream.resample_chunk(block)[:left]
        left -= len(resampled)
        yield resampled
    last = stream.resample_chunk(np.zeros((0, mixer.channels), np.float32), last=True)[:left]
    yield np.pad(last, ((0, left - len(last)), (0, 0)))
