"""A vocoder's pulses and noise for consecutive windows; the phase continues from one to the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..frames import MEL_HOP, MEL_RATE
from ..vocoder.excitation import at_frame_starts, noise, pulses

Frames = NDArray[np.float32]


class CarriedExcitation:
    """Pulses and noise by frame number, where each window has the f0 of later frames than the window before.

    Frames that were emitted keep the f0 and phase of their synthesis; the last `context` of them are stored.
    """

    def __init__(self, context: int, seed: int = 0):
        self.seed = seed
        self.f0 = np.zeros(context, np.float32)  # of the frames before `next`, as they were synthesised
        self._start_hz, self._end_hz, self._phases = np.zeros((3, context))
        self._next_phase = 0.0

    def __call__(self, frame: int, f0: Frames, before: int) -> tuple[Frames, Frames]:
        """Pulses and noise of `before` frames that were emitted, and of those that follow: (512 (before + M),) each.

        Args:
            frame: the number of the first that follows.
            f0: of those that follow, (M,), Hz, 0 = unvoiced.
            before: at most `context`, and at most `frame`.
        """
        start_hz, end_hz, phases = self._of(f0)
        past = slice(len(self.f0) - before, None)
        together = (
            np.concatenate([old[past], new])
            for old, new in ((self._start_hz, start_hz), (self._end_hz, end_hz), (self._phases, phases))
        )
        return pulses(*together), noise(self.seed, frame - before, frame + len(f0))[0]

    def emit(self, f0: Frames, frames: int) -> None:
        """Store the first `frames` of f0 (M,), with M > `frames`, as emitted, and the phase after them."""
        start_hz, end_hz, phases = self._of(f0)
        self._next_phase = float(phases[frames])
        for name, old, new in (
            ("f0", self.f0, f0),
            ("_start_hz", self._start_hz, start_hz),
            ("_end_hz", self._end_hz, end_hz),
            ("_phases", self._phases, phases),
        ):
            setattr(self, name, np.concatenate([old, new[:frames]])[-len(self.f0) :])

    def _of(self, f0: Frames) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Hz at the starts and ends of the frames that follow, and their phases in cycles: (M,) each."""
        start_hz, end_hz = (hertz[1:] for hertz in at_frame_starts(np.concatenate([self.f0[-1:], f0])))
        turned = np.cumsum((start_hz + end_hz) * MEL_HOP / (2 * MEL_RATE))
        return start_hz, end_hz, (self._next_phase + np.append(0.0, turned[:-1])) % 1.0
