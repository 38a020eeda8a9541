"""The run's neural vocoder in modules that ONNX can express: its filters alone, and the whole of it as sound.

The filters alone are for programs with an FFT of their own: as a graph the inverse STFT is slow. The whole has
DiffSinger's interface, mel and f0 in, waveform out, so that OpenUtau can use it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..frames import MEL_HOP, MEL_RATE
from ..vocoder.shaping import BINS, HOP, N_FFT, PAD
from ..vocoder.source_filter import SourceFilterNet

NOISE_SUM = 4  # uniform numbers that are added to a nearly normal one


class VocoderFilters(nn.Module):
    """forward(ln mel (1, M, 128), f0 Hz (1, M), 0 = unvoiced) -> gains of pulses and of noise, (1, 513, 2 M) each."""

    def __init__(self, network: SourceFilterNet):
        super().__init__()
        self.filters = network.filters

    def forward(self, mel: Tensor, f0: Tensor) -> tuple[Tensor, Tensor]:
        """ln mel (1, M, 128), f0 Hz (1, M) -> linear gains of pulses and of noise, float32 (1, 513, 2 M) each."""
        return self.filters.gains(mel, f0)


class VocoderWaveform(nn.Module):
    """forward(ln mel (1, M, 128), f0 Hz (1, M), 0 = unvoiced) -> waveform (1, 512 M) at 44.1 kHz.

    Pulses are those of pipeline.vocoder.excitation. Its noise is another one, since ONNX has no generator that is the
    same everywhere: a hash of the sample's number. Fourier transforms are products with their matrices.
    """

    analysis: Tensor
    synthesis: Tensor
    window_power: Tensor
    phase_cosine: Tensor
    phase_sine: Tensor

    def __init__(self, network: SourceFilterNet):
        super().__init__()
        self.filters = network.filters
        window = network.window.double()
        angle = 2 * math.pi / N_FFT * (torch.arange(BINS)[:, None] * torch.arange(N_FFT) % N_FFT).double()
        basis = torch.cat([angle.cos(), -angle.sin()])
        twice = torch.full((BINS, 1), 2.0, dtype=torch.float64)
        twice[0] = twice[-1] = 1.0  # 0 Hz and half the sample rate have no mirror image
        inverse = torch.cat([twice * angle.cos(), -twice * angle.sin()]) / N_FFT
        self.register_buffer("analysis", (basis * window).float()[:, None])
        self.register_buffer("synthesis", (inverse * window).float()[:, None])
        self.register_buffer("window_power", window.square().float()[None, None])
        phase = self.filters.phase.detach()
        self.register_buffer("phase_cosine", phase.cos()[:, None])
        self.register_buffer("phase_sine", phase.sin()[:, None])

    def forward(self, mel: Tensor, f0: Tensor) -> Tensor:
        """ln mel (1, M, 128), f0 Hz (1, M) -> float32 (1, 512 M) at 44.1 kHz."""
        tone, breath = self.filters.gains(mel, f0)
        voice, hiss = self.spectra(pulses(f0)), self.spectra(hashed_noise(f0))
        real, imaginary = voice[:, :BINS], voice[:, BINS:]
        turned = torch.cat(
            [
                tone * (real * self.phase_cosine - imaginary * self.phase_sine),
                tone * (real * self.phase_sine + imaginary * self.phase_cosine),
            ],
            dim=1,
        )
        shaped = turned + torch.cat([breath, breath], dim=1) * hiss
        wav = F.conv_transpose1d(shaped, self.synthesis, stride=HOP)
        weight = F.conv_transpose1d(torch.ones_like(shaped[:, :1]), self.window_power, stride=HOP)
        return (wav / weight.clamp(min=1e-3))[:, 0, PAD:-PAD]

    def spectra(self, wav: Tensor) -> Tensor:
        """(1, 512 M) -> real parts, then imaginary parts: (1, 2 * 513, 2 M)."""
        return F.conv1d(F.pad(wav, (PAD, PAD))[:, None], self.analysis, stride=HOP)


def pulses(f0: Tensor) -> Tensor:
    """Band-limited pulses of f0 Hz (1, M) at mel centres, 0 = unvoiced: float32 (1, 512 M).

    As pipeline.vocoder.excitation computes them in numpy, in float64.
    """
    here = f0.double()
    before, after = torch.cat([here[:, :1], here[:, :-1]], 1), torch.cat([here[:, 1:], here[:, -1:]], 1)
    begins = torch.where(before > 0, (before * here).sqrt(), here)[..., None]
    ends = torch.where(after > 0, (after * here).sqrt(), here)[..., None]
    cycles = (begins + ends) * float64(MEL_HOP / (2 * MEL_RATE))
    total = torch.cumsum(cycles - cycles.floor(), dim=1)
    phase = total - (cycles - cycles.floor())
    part = torch.arange(MEL_HOP, dtype=torch.float64)
    gained = begins * part + (ends - begins) * (part * part / (2 * MEL_HOP))
    turns = phase - phase.floor() + gained * float64(1 / MEL_RATE)
    hertz = begins + (ends - begins) * (part / MEL_HOP)
    count = (MEL_RATE / 2 / hertz.clamp(min=1.0) - 1).clamp(min=1.0)
    whole = count.floor()
    x = turns - (turns + 0.5).floor()
    close = x.abs() < float64(1e-6)
    safe = torch.where(close, torch.full_like(x, 0.25), x) * float64(math.pi)
    kernel = torch.where(close, 2 * whole + 1, ((2 * whole + 1) * safe).sin() / safe.sin())
    harmonics = (kernel - 1) / 2 + (count - whole) * ((whole + 1) * x * float64(2 * math.pi)).cos()
    sound = harmonics * (2 / count).sqrt() * (hertz > 0).double()
    return sound.flatten(1).float()


def hashed_noise(f0: Tensor) -> Tensor:
    """Noise of mean 0 and variance 1 for as many mel frames as f0 (1, M) has: float32 (1, 512 M), always the same."""
    samples = torch.cumsum(torch.ones_like(f0)[..., None].expand(-1, -1, MEL_HOP).flatten(1).double(), dim=1)
    total = torch.zeros_like(samples)
    for number in range(NOISE_SUM):
        value = (samples * float64(12.9898) + float64(number * 78.233)).sin() * float64(43758.5453)
        total = total + (value - value.floor())
    return ((total - NOISE_SUM / 2) * float64(math.sqrt(12 / NOISE_SUM))).float()


def float64(value: float) -> Tensor:
    """A number as a float64 scalar tensor (shape ()): the exporter rounds plain numbers to float32."""
    return torch.tensor(value, dtype=torch.float64)
