"""A buffer for a converted song, filled phrase by phrase."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...pipeline import frames
from ...pipeline.sample_buffer import SampleBuffer

FADE = 882  # samples, 20 ms, over which phrases rise from and fall to silence
BLOCK = frames.MEL_HOP * 2_048  # samples


class OutputBuffer:
    """A song of `samples` at 44.1 kHz, silent where nothing was added: in memory, or beyond some minutes in a file.

    `power` is the mean square of each mel frame, float32 (frames,), of the added sound. The file is unnamed and lies in
    `folder`.
    """

    def __init__(self, samples: int, folder: Path | None = None):
        self.samples = samples
        self.power = np.zeros(-(-samples // frames.MEL_HOP), np.float32)
        self._buffer = SampleBuffer(frames.MEL_RATE, 1, folder)

    def put(self, start: int, wav: NDArray[np.float32], rises: bool = True, falls: bool = True) -> None:
        """Add samples at `start`, at or after the end of what is there; faded where they rise from or fall to silence.

        `start` is the first sample of a mel frame. What lies beyond the song's end is cut. Raises OSError where the
        disk does not take it.
        """
        wav = wav[: max(0, self.samples - start)].copy()
        fade = np.linspace(0, 1, min(FADE, len(wav) // 2), dtype=np.float32)
        if rises:
            wav[: len(fade)] *= fade
        if falls:
            wav[len(wav) - len(fade) :] *= fade[::-1]
        self._silence(start)
        self._buffer.append(wav[:, None])
        squares = np.pad(np.square(wav), (0, -len(wav) % frames.MEL_HOP)).reshape(-1, frames.MEL_HOP)
        first = start // frames.MEL_HOP
        self.power[first : first + len(squares)] = squares.mean(1)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop) of the sound added so far, zeros beyond: float32 (stop - start,)."""
        first = max(0, start)
        found = self._buffer.read(first, stop)[:, 0]
        return np.pad(found, (first - start, stop - first - len(found)))

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """All of it, silence to the end included, in blocks (n,)."""
        for start in range(0, self.samples, BLOCK):
            yield self.read(start, min(start + BLOCK, self.samples))

    def close(self) -> None:
        """Free memory and file."""
        self._buffer.close()

    def _silence(self, until: int) -> None:
        while (missing := until - len(self._buffer)) > 0:
            self._buffer.append(np.zeros((min(BLOCK, missing), 1), np.float32))
