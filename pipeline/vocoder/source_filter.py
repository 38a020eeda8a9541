"""Our own vocoder: a small network that shapes a voice's source, frame by frame, in the STFT.

The source is pulses that follow f0, and noise. From mel and f0 the network computes a gain of each of the two for every
STFT bin; an inverse STFT gives the sound. So the pitch is right from the first step of training, and the network learns
timbre and breath. The shape of a pulse is learnt too, but once for all frames: a phase that the network may change from
frame to frame shifts the pitch (measured: 8 cents off instead of 3). Since spectra hardly depend on the phase, training
begins with a pulse that is spread in time, low frequencies last, as a vocal tract spreads it.

The body is Vocos' (Siuzdak, 2023, arXiv 2306.00814): ConvNeXt blocks at the mel's frame rate and an inverse-STFT head.
Source and filter are those of harmonic-plus-noise synthesis (DDSP: Engel et al., 2020, arXiv 2001.04643; hn-NSF).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import mel as mels
from ..frames import MEL_RATE
from ..layers import ConvNeXt, pitch_embedding
from .shaping import BINS, N_FFT, PER_FRAME, sound, spectra, spread
from .vocoder import Frames, SourceVocoder

PITCH_FEATURES = 8  # sines and cosines each, of log2 f0
LOUDEST = 4.0  # ln of the most that a filter may amplify; the source has power 1


@dataclass(frozen=True)
class Shape:
    """The network's size. `kernel` is the ConvNeXt blocks' width in mel frames."""

    channels: int = 256
    layers: int = 6
    kernel: int = 7

    @property
    def context(self) -> int:
        """Mel frames either side that a frame's sound depends on: the convolutions', and the window's overlap."""
        return (self.layers + 1) * (self.kernel // 2) + 2


class Filters(nn.Module):
    """Mel and f0 to filters of the source: gains for every STFT bin, and the pulses' phase, which is always the same.

    The network corrects a first guess, the mel interpolated at each bin. With `bf16` the corrections are computed in
    bf16, and the guess in float32.
    """

    first_guess: Tensor
    guess_offset: Tensor
    spread: Tensor
    bf16 = False

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        matrix, offset = _bins_of_mel()
        self.register_buffer("first_guess", matrix, persistent=False)
        self.register_buffer("guess_offset", offset, persistent=False)
        self.register_buffer("spread", spread(), persistent=False)
        self.input = nn.Conv1d(mels.N_MELS, shape.channels, shape.kernel, padding=shape.kernel // 2)
        self.pitch = nn.Linear(2 * PITCH_FEATURES + 1, shape.channels)
        self.norm = nn.LayerNorm(shape.channels)
        self.blocks = nn.ModuleList(
            ConvNeXt(shape.channels, shape.kernel, 3, 1.0 / shape.layers) for _ in range(shape.layers)
        )
        self.last_norm = nn.LayerNorm(shape.channels)
        self.head = nn.Linear(shape.channels, PER_FRAME * 2 * BINS)
        self.turn = nn.Parameter(torch.zeros(BINS))
        nn.init.trunc_normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)

    def forward(self, mel: Tensor, f0: Tensor) -> tuple[Tensor, Tensor]:
        """ln mel (B, M, 128), f0 Hz (B, M) with 0 = unvoiced -> filters of pulses (complex) and noise (real).

        Each (B, bins, M * 2): one for every STFT frame.
        """
        pulses, hiss = self.gains(mel, f0)
        return torch.polar(pulses, self.phase[:, None].expand_as(pulses)), hiss

    @property
    def phase(self) -> Tensor:
        """The phase in radians that every pulse is given: (bins,)."""
        return self.turn + self.spread

    def gains(self, mel: Tensor, f0: Tensor) -> tuple[Tensor, Tensor]:
        """ln mel (B, M, 128), f0 Hz (B, M) with 0 = unvoiced -> gains of pulses and of noise: (B, bins, M * 2) each."""
        voiced = (f0 > 0).to(mel.dtype)[..., None]
        sines, cosines = pitch_embedding(f0.clamp(min=20.0), PITCH_FEATURES, 2)
        pitch = torch.cat([sines * voiced, cosines * voiced, voiced], dim=-1)
        with torch.autocast(mel.device.type, torch.bfloat16) if self.bf16 else nullcontext():
            x = self.input((mel / 4 + 1.25).transpose(1, 2)).transpose(1, 2) + self.pitch(pitch)
            x = self.norm(x).transpose(1, 2)
            for block in self.blocks:
                x = block(x)
            shaped = self.head(self.last_norm(x.transpose(1, 2))).float()
        batch, frames = f0.shape
        shaped = shaped.view(batch, frames, PER_FRAME, 2, BINS)
        guess = (mel.float() @ self.first_guess + self.guess_offset)[:, :, None]
        # At first a voiced frame is mostly pulses: noise is 26 dB below, less at high frequencies.
        breath = guess - voiced[:, :, None].float() * torch.linspace(3.0, 0.5, BINS, device=mel.device)
        pulses = (guess + shaped[..., 0, :]).clamp(max=LOUDEST).exp()
        hiss = (breath + shaped[..., 1, :]).clamp(max=LOUDEST).exp()
        return pulses.flatten(1, 2).transpose(1, 2), hiss.flatten(1, 2).transpose(1, 2)


class SourceFilterNet(nn.Module):
    """Mel, f0 and source to sound."""

    window: Tensor

    def __init__(self, shape: Shape):
        super().__init__()
        self.filters = Filters(shape)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def forward(self, mel: Tensor, f0: Tensor, pulses: Tensor, hiss: Tensor) -> Tensor:
        """mel (B, M, 128), f0 (B, M), pulses and hiss (B, 512 M) -> wav (B, 512 M)."""
        loud, breath = self.filters(mel, f0)
        shaped = loud * spectra(pulses, self.window) + breath * spectra(hiss, self.window)
        return sound(shaped, self.window)


def _bins_of_mel() -> tuple[Tensor, Tensor]:
    """ln magnitude at each STFT bin from ln mel: a matrix (128, bins), and what to add (bins,).

    Interpolated between the bands around a bin. The addend is the mel of a source of power 1; above the mel's ceiling
    there are no values, and the level of voices falls.
    """
    weights = mels.filterbank().numpy().astype(np.float64)
    area = weights.sum(0)
    centres = (weights * np.arange(len(weights))[:, None]).sum(0) / area
    bins = np.arange(BINS) * (mels.N_FFT / N_FFT)
    place = np.interp(bins, centres, np.arange(len(centres)))
    low = np.minimum(place.astype(int), len(centres) - 2)
    matrix = np.zeros((len(centres), BINS))
    matrix[low, np.arange(BINS)] = 1 - (place - low)
    matrix[low + 1, np.arange(BINS)] += place - low
    noise_floor = np.sqrt(np.square(np.hanning(mels.N_FFT)).sum() * np.pi / 4)  # mean |X| of white noise of power 1
    offset = -np.interp(place, np.arange(len(area)), np.log(area * noise_floor))
    ceiling = mels.F_MAX / MEL_RATE * mels.N_FFT
    offset -= 4 * np.log(np.maximum(bins / ceiling, 1.0))
    return torch.from_numpy(matrix).float(), torch.from_numpy(offset).float()


class SourceFilter(SourceVocoder):
    """A trained network as a `Vocoder`."""

    name = "own"

    def __init__(self, network: SourceFilterNet, metadata: dict[str, Any], device: str = "cpu", bf16: bool = False):
        self.network = network.to(device).eval().requires_grad_(False)
        self.network.filters.bf16 = bf16
        self.device = device
        self.context = network.filters.shape.context
        self.metadata = {**metadata, **asdict(network.filters.shape), "precision": "bf16" if bf16 else "fp32"}

    def shape(self, mel: Frames, f0: Frames, pulses: Frames, hiss: Frames) -> Frames:
        given = (torch.from_numpy(np.ascontiguousarray(value))[None] for value in (mel, f0, pulses, hiss))
        with torch.inference_mode():
            wav = self.network(*(value.to(self.device) for value in given))
        return np.asarray(wav[0].cpu().numpy())
