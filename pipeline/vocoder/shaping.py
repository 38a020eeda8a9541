"""A source, pulses or noise, in short-time spectra that a vocoder shapes, and back: two a mel frame."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..frames import MEL_HOP, MEL_RATE

N_FFT, HOP = 1024, 256  # samples: 23 ms windows
PER_FRAME = MEL_HOP // HOP
BINS = N_FFT // 2 + 1
PAD = (N_FFT - HOP) // 2
SPREAD_SECONDS, SPREAD_HZ = 0.002, 8_000.0  # of a pulse: the advance of frequencies from here up


def spectra(wav: Tensor, window: Tensor) -> Tensor:
    """(B, 512 M) -> complex (B, bins, 2 M): frame i is centred at (i + 0.5) * 256."""
    padded = nn.functional.pad(wav, (PAD, PAD))
    return torch.stft(padded, N_FFT, HOP, window=window, center=False, return_complex=True)


def sound(spectra: Tensor, window: Tensor) -> Tensor:
    """Complex (B, bins, 2 M) -> (B, 512 M): the inverse of `spectra` where nothing was shaped."""
    frames = spectra.shape[-1]
    pieces = torch.fft.irfft(spectra, N_FFT, dim=1) * window[None, :, None]
    length = (frames - 1) * HOP + N_FFT
    wav = _overlap_add(pieces, length)
    weight = _overlap_add(window.square()[None, :, None].expand(1, -1, frames), length)
    return (wav / weight.clamp(min=1e-3))[:, PAD : PAD + frames * HOP]


def spread() -> Tensor:
    """The phase at each bin of a pulse in which higher frequencies come earlier, up to SPREAD_HZ: (bins,).

    A sharp pulse is 2 to 4 dB louder at its peak, and the result would have to be attenuated. Low frequencies are not
    delayed, because f0 is perceived by them and would be late too.
    """
    hertz = torch.arange(BINS, dtype=torch.float64) * MEL_RATE / N_FFT
    delay = -SPREAD_SECONDS * (hertz / SPREAD_HZ).clamp(max=1.0)
    return nn.functional.pad(-2 * math.pi * torch.cumulative_trapezoid(delay, hertz), (1, 0)).float()


def _overlap_add(pieces: Tensor, length: int) -> Tensor:
    """(B, window, frames) -> (B, length)."""
    return nn.functional.fold(pieces, (1, length), (1, N_FFT), stride=(1, HOP))[:, 0, 0]
