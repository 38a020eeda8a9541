"""Sound from a mel without its f0 (Griffin and Lim, 1984), to measure which pitch the mel itself contains.

A vocoder with f0 as an input reproduces that f0 for any mel; this one has no f0 as input.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torchaudio.functional import griffinlim

from .frames import MEL_HOP
from .mel import N_FFT, filterbank

ITERATIONS = 16


def griffin_lim(mel: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """ln magnitude (..., M, bins) -> float32 (..., M * 512,) at 44.1 kHz, mel frame m centred at (m + 0.5) * 512."""
    magnitude = (mel.float().exp() @ _inverse().to(mel.device)).clamp(min=0).transpose(-1, -2)
    wav = griffinlim(
        magnitude,
        window=torch.hann_window(N_FFT, device=mel.device),
        n_fft=N_FFT,
        hop_length=MEL_HOP,
        win_length=N_FFT,
        power=1.0,
        n_iter=iterations,
        momentum=0.99,
        length=None,
        rand_init=False,
    )
    # Its frame m is centred at m * 512.
    half = wav.new_zeros(*wav.shape[:-1], MEL_HOP // 2)
    return torch.cat([half, wav, half], dim=-1)


@lru_cache(maxsize=1)
def _inverse() -> Tensor:
    """From mel bands back to STFT bins, by least squares: float32 (bins, n_fft // 2 + 1)."""
    return torch.linalg.pinv(filterbank())
