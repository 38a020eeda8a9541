"""Blocks of sound in, blocks of converted sound out, of any size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np

from ..frames import MEL_HOP
from .joins import Joiner, Samples
from .timing import FADE, StreamTiming


class WindowConverter(ABC):
    """Converts window after window of a stream; it keeps its own state from one to the next."""

    @abstractmethod
    def convert(self, window: Samples, start: int) -> Samples:
        """Convert one window.

        Args:
            window: float32 (512 * timing.window,) at 44.1 kHz.
            start: the number of its first mel frame; the stream's first sample is at frame `timing.window` -
                `timing.hop`.

        Returns:
            float32 (512 * (timing.hop + FADE),), from frame `start` + timing.context on.
        """

    @abstractmethod
    def skip(self) -> None:
        """The next window is not converted: `timing.hop` frames are not emitted."""


class BlockStream:
    """Converts a stream hop by hop. The size of blocks has no effect: a hop is converted when it is complete.

    Args:
        converter: converts a window.
        timing: hop, context and lookahead.
    """

    def __init__(self, converter: WindowConverter, timing: StreamTiming):
        self.converter, self.timing = converter, timing
        self._history = np.zeros((timing.window - timing.hop) * MEL_HOP, np.float32)
        self._waiting: list[Samples] = []
        self._count = 0  # samples waiting
        self._frame = 0  # the number of the next window's first frame
        self._joiner = Joiner(FADE * MEL_HOP)

    @property
    def complete(self) -> int:
        """Hops that wait to be converted or dropped."""
        return self._count // self.timing.hop_samples

    def put(self, block: Samples) -> None:
        """Take samples (n,) at 44.1 kHz in."""
        self._waiting.append(np.asarray(block, np.float32))
        self._count += len(block)

    def convert_next(self) -> Samples:
        """Convert the next complete hop: float32 (512 hop,). Its first sample came in `timing.delay` samples ago."""
        window = self._advance()
        return self._joiner.join(self.converter.convert(window, self._frame - self.timing.hop))

    def drop_next(self) -> Samples:
        """Drop the next complete hop: float32 (512 hop,) of silence. The hop still serves as context of later ones."""
        self._advance()
        self.converter.skip()
        return self._joiner.gap(self.timing.hop_samples)

    def push(self, block: Samples) -> Samples:
        """Take a block in and return what can be converted: (n,) -> (512 hop k,), k = 0, 1, ..."""
        self.put(block)
        return np.concatenate([np.zeros(0, np.float32), *(self.convert_next() for _ in range(self.complete))])

    def stream(self, wav: Samples) -> Samples:
        """Convert a whole song (T,) at 44.1 kHz as live conversion does, without the latency: (T,). On a new stream."""
        return self.aligned([wav])

    def aligned(self, blocks: Iterable[Samples]) -> Samples:
        """The same for a song in blocks: (T,), where T is their total number of samples."""
        lookahead, given, pieces = self.timing.lookahead * MEL_HOP, 0, [np.zeros(0, np.float32)]
        for block in blocks:
            given += len(block)
            pieces.append(self.push(block))
        pieces.append(self.push(np.zeros(lookahead + self.timing.hop_samples, np.float32)))
        # The output for the newest hop ends `lookahead` before the hop's end.
        return np.concatenate(pieces)[lookahead : lookahead + given]

    def _advance(self) -> Samples:
        """Move on by a hop: the window that ends with it, (512 * timing.window,)."""
        assert self.complete > 0
        together = np.concatenate([self._history, *self._waiting])
        size = self.timing.window * MEL_HOP
        window, rest = together[:size], together[size:]
        self._waiting, self._count = [rest], len(rest)
        self._history = window[self.timing.hop_samples :]
        self._frame += self.timing.hop
        return window
