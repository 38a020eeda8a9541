"""The log mel spectrogram of the OpenVPI NSF-HiFiGAN vocoders, and loudness beside it.

44.1 kHz, n_fft = window = 2048, hop 512, 128 bins from 40 to 16000 Hz, Slaney scale and norm, periodic Hann,
reflected by (n_fft - hop) / 2 each side, magnitude, ln(max(mel, 1e-5)). Frame m is centred at (m + 0.5) * hop.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torchaudio.functional import melscale_fbanks

from .frames import MEL_HOP, MEL_RATE

N_FFT = 2048  # samples, also the window
N_MELS = 128
F_MIN, F_MAX = 40.0, 16_000.0  # Hz
FLOOR = 1e-5  # magnitude
LOG_FLOOR = math.log(FLOOR)  # silence: -11.513
LOUDNESS_FLOOR_DB = -100.0

SETTINGS = {
    "sample_rate": MEL_RATE,
    "n_fft": N_FFT,
    "hop": MEL_HOP,
    "n_mels": N_MELS,
    "f_min": F_MIN,
    "f_max": F_MAX,
    "scale": "slaney",
    "norm": "slaney",
    "log": "ln",
    "floor": FLOOR,
    "padding": "reflect",
}


@lru_cache(maxsize=4)
def filterbank() -> Tensor:
    """The mel filters: float32 (n_fft // 2 + 1, n_mels)."""
    return melscale_fbanks(N_FFT // 2 + 1, F_MIN, F_MAX, N_MELS, MEL_RATE, norm="slaney", mel_scale="slaney")


def log_mel(wav: Tensor, semitones: int = 0) -> Tensor:
    """Log mel spectrogram. wav float32 (T,) at 44.1 kHz, T > 768 -> float32 (T // 512, 128), ln magnitude.

    With `semitones`, all frequencies are that much higher, formants too, and time stays as it is: a window longer by
    that ratio, whose bins are then read as those of N_FFT samples (as in CNChTu/Diffusion-SVC's augmentation).
    """
    window = round(N_FFT * 2 ** (semitones / 12))
    before = (window - MEL_HOP) // 2
    padded = F.pad(wav[None, None], (before, window - MEL_HOP - before), mode="reflect")[0]
    spectrum = torch.stft(
        padded,
        window,
        MEL_HOP,
        window=torch.hann_window(window, device=wav.device),
        center=False,
        return_complex=True,
    )[0]
    bins = N_FFT // 2 + 1
    magnitude = spectrum.abs()[:bins] * (N_FFT / window)  # as loud as with a window of N_FFT
    mel = F.pad(magnitude, (0, 0, 0, bins - len(magnitude))).T @ filterbank().to(wav.device)
    return mel.clamp(min=FLOOR).log()[: wav.shape[-1] // MEL_HOP]


def loudness(wav: Tensor) -> Tensor:
    """RMS in dBFS around each mel frame's centre, over one window. float32 (T,) -> float32 (T // 512,)."""
    padded = F.pad(wav[None, None], ((N_FFT - MEL_HOP) // 2,) * 2, mode="reflect")[0, 0]
    power = padded.square().unfold(0, N_FFT, MEL_HOP).mean(-1)
    return (10 * power.clamp(min=10 ** (LOUDNESS_FLOOR_DB / 10)).log10())[: wav.shape[-1] // MEL_HOP]
