"""A vocoder without weights: pulses and noise, with gains at every frequency that follow from the mel.

Voiced frames are pulses under the mel's envelope with a breath of noise that grows with frequency; unvoiced frames are
noise (harmonics plus noise: Serra and Smith, 1990; DDSP: Engel et al., 2020, arXiv 2001.04643). Smoothing blurs the
envelope, so the gains are then corrected by the difference between the sound's mel and the input mel, in two refinement
passes.

All pulses have one phase, whatever the envelope. A vocoder that gives them the envelope's (WORLD: Morise et al., 2016)
shifts the pitch where the envelope changes quickly, unless it smooths the envelope, which makes words less clear.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import mel as mels
from .excitation import Excitation
from .levels import Levels, breath
from .shaping import BINS, N_FFT, PER_FRAME, sound, spectra, spread
from .vocoder import Frames, SourceVocoder

REFINEMENT_PASSES = 2
MAX_REFINEMENT = 1.5  # nepers in all
CONTEXT = 5 * (REFINEMENT_PASSES + 1)  # mel frames either side that a frame's sound depends on

Gains = NDArray[np.float64]


class PulseNoise(SourceVocoder):
    """Synthesises mel and f0 with pulses and noise.

    `refinement_passes` is how often the gains are corrected by the sound's mel. Use 0 for a mel whose harmonics are not
    f0's, such as one composed of frames with other notes: a correction would reproduce those harmonics.
    """

    name = "plain"
    context = CONTEXT

    def __init__(self, refinement_passes: int = REFINEMENT_PASSES):
        self.refinement_passes = refinement_passes
        self.window = torch.hann_window(N_FFT)

    def shape(self, mel: Frames, f0: Frames, pulses: Frames, hiss: Frames) -> Frames:
        return self._sung(self.levels(mel, f0), f0, (pulses, hiss))

    def sound(self, level: Gains, f0: Frames) -> Frames:
        """Levels (M, n_fft // 2 + 1) at f0 (M,): float32 (M * hop,)."""
        return self._sung(level, f0, Excitation(f0)(0, len(f0)))

    def levels(self, mel: Frames, f0: Frames) -> Gains:
        """ln mel (M, 128) and f0 (M,) -> levels (M, n_fft // 2 + 1) for pulses and noise of power 1 (`levels`)."""
        return _levels()(mel, f0)

    def _sung(self, wanted: Gains, f0: Frames, excitation: tuple[Frames, Frames]) -> Frames:
        source = self._source(f0, *excitation)
        level = wanted
        wav = self._shaped(level, source)
        for _ in range(self.refinement_passes if len(f0) > 1 else 0):  # a mel needs more than one frame
            measured = self.levels(mels.log_mel(torch.from_numpy(wav)).numpy(), f0)
            level = np.clip(level + wanted - measured, wanted - MAX_REFINEMENT, wanted + MAX_REFINEMENT)
            wav = self._shaped(level, source)
        return wav

    def _source(self, f0: Frames, pulses: Frames, hiss: Frames) -> Tensor:
        """Spectra of the source: pulses, spread in time, with some noise, or noise alone; complex (1, bins, 2 M)."""
        tone, noise = (spectra(torch.from_numpy(part)[None], self.window) for part in (pulses, hiss))
        voiced = torch.from_numpy(np.repeat(f0 > 0, PER_FRAME))
        share = torch.from_numpy(breath(BINS)).float()[:, None]
        tone = tone * torch.polar((1 - share.square()).sqrt(), spread()[:, None])
        return torch.where(voiced, tone + share * noise, noise)

    def _shaped(self, level: Gains, source: Tensor) -> Frames:
        """The source under the envelope, as sound (512 M,)."""
        gain = np.exp(_between(level[:, :: mels.N_FFT // N_FFT])).T.astype(np.float32)
        return sound(torch.from_numpy(gain) * source, self.window)[0].numpy()


class LevelsPulseNoise(PulseNoise):
    """PulseNoise for levels (M, n_fft // 2 + 1), as `levels` gives them at any f0, in place of a mel."""

    def shape(self, mel: Frames, f0: Frames, pulses: Frames, hiss: Frames) -> Frames:
        return self._sung(mel.astype(np.float64), f0, (pulses, hiss))


@cache
def _levels() -> Levels:
    """Measured once in each process."""
    return Levels(lambda f0: PulseNoise(refinement_passes=0).sound(np.zeros((len(f0), mels.N_FFT // 2 + 1)), f0))


def _between(level: Gains) -> Gains:
    """At mel frames (M, bins) -> at the short-time spectra (2 M, bins), a quarter of a frame to either side."""
    held = np.concatenate([level[:1], level, level[-1:]])
    sides = [0.75 * level + 0.25 * held[:-2], 0.75 * level + 0.25 * held[2:]]
    return np.stack(sides, axis=1).reshape(-1, level.shape[1])
