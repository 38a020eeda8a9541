"""MP3 for pages: small, and played by every browser."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

RATE = 44_100  # Hz
BLOCK = 65_536  # samples that are read at a time


def encode(blocks: Iterable[NDArray[np.float32]], sample_rate: int, channels: int) -> bytes:
    """Encode blocks of samples, float32 (T, channels) with one or two channels, as MP3 at 44.1 kHz.

    What is beyond full scale is clipped, and NaN becomes 0.
    """
    encoded = io.BytesIO()
    stream = soxr.ResampleStream(sample_rate, RATE, channels, dtype="float32")
    with soundfile.SoundFile(encoded, "w", RATE, channels, format="MP3", subtype="MPEG_LAYER_III") as out:
        for block in blocks:
            out.write(np.clip(stream.resample_chunk(np.nan_to_num(np.ascontiguousarray(block))), -1, 1))
        out.write(np.clip(stream.resample_chunk(np.zeros((0, channels), np.float32), last=True), -1, 1))
    return encoded.getvalue()


def encode_mono(wav: NDArray[np.float32], sample_rate: int) -> bytes:
    """Encode samples, float32 (T,), as MP3 at 44.1 kHz."""
    return encode([wav[:, None]], sample_rate, 1)


def encode_file(path: Path) -> bytes:
    """Encode a recording that libsndfile reads as MP3: mono or stereo, of more channels the first two."""
    with soundfile.SoundFile(path) as file:
        channels = min(2, file.channels)
        blocks = file.blocks(BLOCK, dtype="float32", always_2d=True)
        return encode((block[:, :channels] for block in blocks), file.samplerate, channels)
