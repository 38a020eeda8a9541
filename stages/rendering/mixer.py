"""A converted voice with a volume over time, mixed with a backing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...pipeline import frames
from ...pipeline.sample_buffer import SampleBuffer
from .breaths import SourceNoise
from .output_buffer import OutputBuffer


class Mixer:
    """Blocks float32 (n, channels) at 44.1 kHz of a voice, its volume adjusted, with a backing where there is one.

    Args:
        voice: the converted sound.
        volume: float (frames,), the factor at each mel frame's centre; between them it changes linearly.
        backing: at 44.1 kHz, of any channels, added from the same start.
        noise: the song's own breaths, put in place of the voice's.
    """

    def __init__(
        self,
        voice: OutputBuffer,
        volume: NDArray[np.floating],
        backing: SampleBuffer | None = None,
        noise: SourceNoise | None = None,
    ):
        self.voice, self.volume, self.backing, self.noise = voice, volume, backing, noise
        self.channels = backing.channels if backing else 1

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        centres = (np.arange(len(self.volume)) + 0.5) * frames.MEL_HOP
        unchanged = bool((self.volume == 1).all())
        position = 0
        for block in self.voice.blocks():
            if not unchanged:
                at = np.arange(position, position + len(block)) + 0.5
                block = block * np.interp(at, centres, self.volume).astype(np.float32)
            if self.noise is not None:
                block = self.noise.blend(position, block)
            mixed = np.repeat(block[:, None], self.channels, axis=1)
            if self.backing is not None:
                other = self.backing.read(position, position + len(block))
                mixed[: len(other)] += other
            position += len(block)
            yield mixed
