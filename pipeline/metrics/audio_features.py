"""What those who judge a recording hear of it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from .. import mel
from ..pitch import pitch

Samples = NDArray[np.float32]


class AudioFeatures:
    """A recording, float32 (T,) at 44.1 kHz; what is heard of it is computed once, when it is first asked for."""

    def __init__(self, wav: Samples):
        self.wav = np.ascontiguousarray(wav, np.float32)

    @cached_property
    def mel(self) -> Samples:
        """Log mel (M, 128)."""
        return np.asarray(mel.log_mel(torch.from_numpy(self.wav)).numpy())

    @cached_property
    def loudness(self) -> Samples:
        """dBFS (M,)."""
        return np.asarray(mel.loudness(torch.from_numpy(self.wav)).numpy())

    @cached_property
    def f0(self) -> Samples:
        """Hz (M,), 0 where it is unvoiced, by the default method."""
        return pitch.track(self.wav, pitch.PitchSettings())
