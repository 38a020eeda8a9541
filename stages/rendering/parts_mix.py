"""Tracks with a common start, each with its gain and its time, added up block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from ...pipeline import frames
from ...pipeline.sample_buffer import SampleBuffer
from .output_buffer import BLOCK
from .writing import Blocks

FADE = 882  # samples, 20 ms around a part's start and end: two parts that adjoin there sum to one


class WholeTrack:
    """An unchanged recording at 44.1 kHz, in blocks float32 (n, channels)."""

    def __init__(self, sound: SampleBuffer):
        self.sound, self.channels = sound, sound.channels

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        yield from self.sound.blocks(BLOCK)


@dataclass(frozen=True)
class PartTrack:
    """Blocks of BLOCK samples, with a gain in dB, silent before `start` and after `end` seconds (None: to the end)."""

    blocks: Blocks
    gain_db: float
    start: float
    end: float | None

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        gain, position = np.float32(10 ** (self.gain_db / 20)), 0
        for block in self.blocks:
            yield block * (gain * self._share(position, position + len(block)))[:, None]
            position += len(block)

    def _share(self, first: int, last: int) -> NDArray[np.float32]:
        at = np.arange(first, last) + 0.5
        share = np.ones(len(at))
        if self.start > 0:
            share *= np.clip((at - self.start * frames.MEL_RATE) / FADE + 0.5, 0, 1)
        if self.end is not None:
            share *= np.clip((self.end * frames.MEL_RATE - at) / FADE + 0.5, 0, 1)
        return share.astype(np.float32)


class PartsMix:
    """The sum of tracks: as long as the longest, mono where all are, else stereo."""

    def __init__(self, tracks: Sequence[PartTrack]):
        self.tracks = tracks
        self.channels = max(track.blocks.channels for track in tracks)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for blocks in zip_longest(*self.tracks):
            there = [block for block in blocks if block is not None]
            out = np.zeros((max(map(len, there)), self.channels), np.float32)
            for block in there:
                out[: len(block)] += block  # a mono track is in the middle
            yield out
