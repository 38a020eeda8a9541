"""Energy below a voice's f0: measured, and limited in the output of any vocoder.

A voice has almost none there. An offset or rumble takes headroom from the voice and moves loudspeakers needlessly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..frames import MEL_HOP, MEL_RATE

Frames = NDArray[np.float32]

WINDOW, HOP = 4096, 1024  # samples, 93 and 23 ms
ALLOWED = 1e-3  # the share of a voiced frame's energy that may lie below f0 / 2, -30 dB
HERTZ = np.arange(WINDOW // 2 + 1) * MEL_RATE / WINDOW
MEASURING = np.blackman(WINDOW + 1)[:-1]  # its side lobes are 58 dB down: a harmonic does not look like rumble
CHANGING = np.hanning(WINDOW + 1)[:-1]  # squared and overlapped by 3/4 it sums to 1.5
BLOCK = 256  # mel frames that are measured at once


def low_energy(wav: Frames, f0: Frames, start: int = 0) -> NDArray[np.float64]:
    """The share of energy below f0 / 2 around each mel frame's centre: float64 (M,), 0 to 1, 0 where unvoiced.

    Args:
        wav: float32 (T,) at 44.1 kHz.
        f0: Hz (M,), 0 = unvoiced.
        start: the sample of `wav` where the first mel frame begins; samples before it and after the last are context.
    """
    share = np.zeros(len(f0))
    padded = np.pad(wav, WINDOW)
    first = start + WINDOW + MEL_HOP // 2 - WINDOW // 2
    pieces = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[first::MEL_HOP]
    voiced = np.flatnonzero(f0 > 0)
    for block in np.split(voiced, range(BLOCK, len(voiced), BLOCK)):
        low, total = _low_and_total(np.fft.rfft(pieces[block] * MEASURING), f0[block])
        share[block] = np.where(total > 1e-9, low / np.maximum(total, 1e-9), 0.0)
    return share


class RumbleLimiter:
    """Removes energy below half of a phrase's f0 that exceeds ALLOWED, without changing the phase of the rest.

    Frames that do not exceed it are unchanged. `f0` (M,) in Hz, 0 = unvoiced, is the whole phrase's.
    """

    def __init__(self, f0: Frames):
        self._f0 = f0
        self._start = -WINDOW // 2  # the sample at which the two arrays below begin; before 0 there is silence
        self._signal = np.zeros(WINDOW // 2, np.float32)
        self._excess = np.zeros(WINDOW // 2)
        self._frame = 0  # the next frame to check; frame i is centred at i * HOP

    def stream(self, pieces: Iterable[Frames]) -> Iterator[Frames]:
        """The phrase's sound, float32 (512 n,) a piece, in pieces of which the last 93 ms come with the next one."""
        for piece in pieces:
            self._signal = np.concatenate([self._signal, piece])
            if len(ready := self._advance(len(self._signal) - WINDOW)):
                yield ready
        if len(ready := self._advance(len(self._signal))):
            yield ready

    def _advance(self, samples: int) -> Frames:
        """Check the frames that begin within the next `samples`, and return the samples that no later frame changes."""
        self._excess = np.pad(self._excess, (0, max(0, len(self._signal) + WINDOW - len(self._excess))))
        while (begin := self._frame * HOP - WINDOW // 2 - self._start) <= samples:
            piece = self._signal[begin : begin + WINDOW]
            if (excess := self._found(np.pad(piece, (0, WINDOW - len(piece))))) is not None:
                self._excess[begin : begin + WINDOW] += excess
            self._frame += 1
        # In whole mel frames, without the silence before the start.
        end = min(begin + self._start, self._start + len(self._signal)) // MEL_HOP * MEL_HOP - self._start
        ready = (self._signal[:end] - self._excess[:end]).astype(np.float32)[max(0, -self._start) :]
        self._signal, self._excess, self._start = self._signal[end:], self._excess[end:], self._start + end
        return ready

    def _found(self, piece: Frames) -> NDArray[np.float64] | None:
        """The signal to subtract from a piece (WINDOW,), windowed for overlap-add, or None."""
        frame = self._frame * HOP // MEL_HOP
        if frame >= len(self._f0) or (f0 := self._f0[frame]) <= 0:
            return None
        low, total = (float(value[0]) for value in _low_and_total(np.fft.rfft(piece * MEASURING)[None], f0[None]))
        if low <= ALLOWED * total or total < 1e-9:
            return None
        gain = np.sqrt(ALLOWED / (1 - ALLOWED) * (total - low) / low)
        # All below f0 / 2, and gradually less up to 0.7 f0.
        mask = np.cos(np.pi / 2 * np.clip((HERTZ / f0 - 0.5) / 0.2, 0.0, 1.0)) ** 2
        excess = np.fft.irfft(np.fft.rfft(piece * CHANGING) * mask * (1 - gain), WINDOW)
        return np.asarray(excess * CHANGING / 1.5)


def _low_and_total(spectra: NDArray[np.complex128], f0: Frames) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy below f0 / 2, and all of it: (N, bins) and f0 in Hz (N,) -> (N,) each."""
    power = np.square(np.abs(spectra))
    power[:, 1:-1] *= 2  # of the negative frequencies
    return np.where(f0[:, None] / 2 > HERTZ, power, 0.0).sum(1), power.sum(1)
