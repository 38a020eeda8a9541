"""Formant shift without pitch shift, as by a longer or shorter vocal tract: of a mel, for any vocoder, or of sound."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .envelope import band_centres, envelope
from .mel import FLOOR

WINDOW_SECONDS = 0.064
SMOOTH_SECONDS = 0.0016  # quefrencies below it are the envelope: the harmonics of a voice up to 600 Hz are not
ROUNDS = 10  # iterations of the true envelope
MOST = 3.5  # ln magnitude that a bin is changed by at most, 30 dB
SETTINGS = {"window_s": WINDOW_SECONDS, "smooth_s": SMOOTH_SECONDS, "rounds": ROUNDS, "most": MOST}


def shift_formants(mel: NDArray[np.float32], f0: NDArray[np.float32], semitones: float) -> NDArray[np.float32]:
    """ln mel (M, 128) with its envelope moved up by `semitones`; f0 (M,) Hz, 0 = unvoiced, stays what it is.

    Harmonics stay where they are and take the moved envelope's level: ln mel + ln E(f / r) - ln E(f).
    """
    if semitones == 0:
        return mel
    smooth = np.log(envelope(mel, f0))
    bins, centres = np.arange(smooth.shape[1]), band_centres()
    from_bins = centres / 2.0 ** (semitones / 12)
    change = np.stack([np.interp(from_bins, bins, frame) - np.interp(centres, bins, frame) for frame in smooth])
    return np.maximum(mel + change, np.log(FLOOR)).astype(np.float32)


def shift_formants_of_audio(wav: Tensor, sample_rate: int, semitones: float) -> Tensor:
    """Sound float32 (T,) as of another vocal tract: formants `semitones` higher, f0 and times unchanged.

    Each short spectrum is multiplied by E(f / r) / E(f), where E is its true envelope: smoothed in the cepstrum again
    and again, each time no lower than the spectrum (Roebel and Rodet, DAFx 2005). The result is as loud as `wav`.
    """
    size = round(WINDOW_SECONDS * sample_rate)
    hop, window = size // 4, torch.hann_window(size, device=wav.device)
    spectrum = torch.stft(wav, size, hop, window=window, pad_mode="constant", return_complex=True)
    levels = spectrum.abs().clamp(min=1e-5).log()
    kept, envelope = round(SMOOTH_SECONDS * sample_rate), levels
    for _ in range(ROUNDS):
        cepstrum = torch.fft.irfft(torch.maximum(levels, envelope), n=size, dim=0)
        cepstrum[kept + 1 : -kept] = 0
        envelope = torch.fft.rfft(cepstrum, dim=0).real
    place = torch.arange(len(envelope), device=wav.device) / 2 ** (semitones / 12)
    below = place.long().clamp(max=len(envelope) - 2)
    part = (place - below).clamp(max=1.0)[:, None]
    moved = torch.lerp(envelope[below], envelope[below + 1], part)
    changed = spectrum * (moved - envelope).clamp(-MOST, MOST).exp()
    out = torch.istft(changed, size, hop, window=window, length=len(wav))
    return out * (wav.square().mean().sqrt() / out.square().mean().sqrt().clamp(min=1e-8))
