"""The interface of every vocoder, and the mel that all of them take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import SvcError
from ..frames import MEL_HOP
from .excitation import Excitation
from .rumble import RumbleLimiter

Frames = NDArray[np.float32]


class VocoderError(SvcError, ValueError):
    """A vocoder cannot be loaded, or does not fit. The message says what to do."""


class Vocoder(ABC):
    """Synthesises float32 (M * 512,) at 44.1 kHz from ln mel (M, 128) and f0 in Hz (M,), 0 = unvoiced, at mel centres.

    The same input gives the same bytes. `name` and `metadata` go into what is written beside a result.
    """

    name: str
    metadata: Mapping[str, Any] = MappingProxyType({})  # empty without weights: then svc's version is sufficient

    @abstractmethod
    def generate(self, mels: Iterable[Frames], f0: Frames) -> Iterator[Frames]:
        """Sound of a phrase whose mel comes in pieces and whose f0 is known: pieces (T,) in order, without gaps.

        Each mel piece is (M, 128), natural log; f0 is (M,) of the whole phrase, Hz, 0 where unvoiced.

        Memory does not grow with the phrase's length. The division of the mel has no audible effect.
        """

    def stream(self, mels: Iterable[Frames], f0: Frames) -> Iterator[Frames]:
        """The output of `generate`, without an offset or rumble below the voice's f0 (rumble.RumbleLimiter)."""
        return RumbleLimiter(f0).stream(self.generate(mels, f0))

    def __call__(self, mel: Frames, f0: Frames) -> Frames:
        """The whole region at once."""
        return np.concatenate([np.zeros(0, np.float32), *self.stream([mel], f0)])


class SourceVocoder(Vocoder):
    """A vocoder whose pulses and noise are inputs, so that a stream can continue their phase.

    `context` is how many mel frames either side a frame's sound depends on.
    """

    context: int

    @abstractmethod
    def shape(self, mel: Frames, f0: Frames, pulses: Frames, hiss: Frames) -> Frames:
        """ln mel (M, 128), f0 Hz (M,), pulses and noise (512 M,) of power 1 -> sound, float32 (512 M,)."""

    def generate(self, mels: Iterable[Frames], f0: Frames) -> Iterator[Frames]:
        excite = Excitation(f0)

        def sing(mel: Frames, start: int) -> Frames:
            stop = start + len(mel)
            return self.shape(mel, f0[start:stop], *excite(start, stop))

        return stream_with_context(mels, len(f0), self.context, sing)


class Mels:
    """Mel pieces as they arrive, read by frame number; frames before the last `start` are freed."""

    def __init__(self, pieces: Iterable[Frames]):
        self._pieces, self._first = iter(pieces), 0
        self._held: list[Frames] = []

    def __call__(self, start: int, stop: int) -> Frames:
        """Frames [start, stop): float32 (stop - start, 128). `start` never falls."""
        while self._held and self._first + len(self._held[0]) <= start:
            self._first += len(self._held.pop(0))
        while self._first + sum(map(len, self._held)) < stop:
            self._held.append(next(self._pieces))
        held = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
        self._held = [held]
        return held[start - self._first : stop - self._first]


PIECE = 860  # mel frames that a network synthesises at once, 10 s


def stream_with_context(mels: Iterable[Frames], frames: int, context: int, sing: Any) -> Iterator[Frames]:
    """Pieces of a region of `frames`, each synthesised with `context` frames on either side that are cut off again.

    `sing(mel, start)` is given frames from number `start` of the region on, and returns 512 samples for each.
    """
    held = Mels(mels)
    for start in range(0, frames, PIECE):
        stop = min(start + PIECE, frames)
        first, last = max(0, start - context), min(stop + context, frames)
        wav = sing(held(first, last), first)
        yield wav[(start - first) * MEL_HOP : (stop - first) * MEL_HOP]
