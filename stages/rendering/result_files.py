"""The files beside a result: picture and description; and writing a Conversion that is in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...common.files import write_whole
from ...pipeline import audio, frames
from ..picture import Track, save_song
from ..settings import OutputSettings
from . import provenance
from .converter import Conversion, ConversionPlan
from .measurement import Measurement
from .mixer import Mixer
from .output_buffer import OutputBuffer
from .output_paths import MADE_BY, check_writable, description_path, picture_path
from .writing import SourceLength, write_output


def write_conversion(
    conversion: Conversion, out: Path, title: str, settings: OutputSettings | None = None, song: Path | None = None
) -> None:
    """Write a Conversion as `out`, and beside it a .png (if it was measured) and a .json, as `svc render` does.

    Args:
        conversion: the converted song.
        out: ends in one of `formats.FORMATS`.
        title: the song's name.
        settings: bit depth and sample rate of the file.
        song: where the song lies, if it was read from a file.

    Raises:
        UserError: `out` cannot be written, or is a file that svc did not make.
    """
    check_writable(out)
    buffer = OutputBuffer(len(conversion.samples), out.parent)
    try:
        buffer.put(0, conversion.samples, rises=False, falls=False)
        blocks = Mixer(buffer, np.ones(len(buffer.power), np.float32))
        recording = conversion.plan.source.recording
        tags = provenance.about(conversion.metadata, conversion.key)
        length = SourceLength(recording.samples, recording.sample_rate)
        write_output(blocks, out, settings or OutputSettings(), length, about=tags)
    finally:
        buffer.close()
    origin = {"song": title} if song is None else {"song": str(song.absolute()), "song_sha256": audio.file_hash(song)}
    about = {**origin, "result": out.name, "result_sha256": audio.file_hash(out), "timings": conversion.timings}
    write_description(out, conversion.plan, conversion.measured, conversion.metadata, conversion.notes, about)
    if conversion.measured is not None and (settings is None or settings.picture):
        result = f"{out.name} ({conversion.key:+g} semitones)"
        draw(conversion.plan, conversion.measured, title, result, picture_path(out))


def draw(plan: ConversionPlan, found: Measurement, song: str, result: str, path: Path) -> None:
    """Draw a song and its result into a PNG: `song` and `result` are their titles."""
    features, png = plan.features, io.BytesIO()
    save_song(
        png,
        Track(song, features.mel, features.f0, features.loudness),
        Track(result, found.mel, found.f0, found.loudness),
        plan.target.f0,
        plan.source.recording.seconds,
    )
    write_whole(path, png.getvalue())


def write_description(
    out: Path,
    plan: ConversionPlan,
    found: Measurement | None,
    converter: Mapping[str, Any],
    notes: tuple[str, ...],
    about: Mapping[str, Any],
) -> None:
    """The JSON beside `out`.

    Args:
        out: the result.
        plan: of the conversion.
        found: the measured result, if it was measured.
        converter: of the conversion (Converter.metadata).
        notes: sentences for the user.
        about: song, result and timings.
    """
    f0 = {
        "asked_hz": " ".join(f"{hertz:.6g}" for hertz in plan.target.f0.tolist()),
        "asked_at": f"(m + 0.5) * {frames.MEL_HOP} / {frames.MEL_RATE} s",
    }
    description = {
        "svc": __version__,
        "made": MADE_BY,
        **about,
        "key": plan.target.key,
        "settings": asdict(plan.settings),
        **converter,
        "seconds": plan.source.recording.seconds,
        "f0": {**(found.describe() if found else {}), **f0},
        "notes": list(notes),
    }
    write_whole(description_path(out), json.dumps(description, indent=1, ensure_ascii=False).encode())
