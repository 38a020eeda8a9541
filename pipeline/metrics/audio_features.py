"""The features of a recording that several measures share, each computed once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from .. import mel
from ..pitch import pitch
from ..pitch.settings import PitchSettings

Samples = NDArray[np.float32]


class AudioFeatures:
    """A recording, float32 (T,) at 44.1 kHz, and its features, each computed when it is first needed."""

    def __init__(self, wav: Samples):
        self.wav = np.ascontiguousarray(wav, np.float32)

    @cached_property
    def mel(self) -> Samples:
        """Log mel spectrogram, ln magnitude, float32 (M, 128)."""
        return np.asarray(mel.log_mel(torch.from_numpy(self.wav)).numpy())

    @cached_property
    def loudness(self) -> Samples:
        """RMS in dBFS around each mel frame, float32 (M,)."""
        return np.asarray(mel.loudness(torch.from_numpy(self.wav)).numpy())

    @cached_property
    def f0(self) -> Samples:
        """Hz at mel frames, 0 where unvoiced, by the default method: float32 (M,)."""
        return pitch.track(self.wav, PitchSettings())
