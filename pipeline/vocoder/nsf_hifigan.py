"""OpenVPI's NSF-HiFiGAN and PC-NSF-HiFiGAN: vocoders with widely shared checkpoints.

A HiFi-GAN generator (Kong et al., 2020, arXiv 2010.05646, version 1) with a neural source filter (Wang et al., 2019,
arXiv 1904.12088): a source that follows f0 is added at each stage, or, in the "mini" kind, once after the second.
Their layout and formulas were read from openvpi/DiffSinger and openvpi/SingingVocoders. The weights are under
CC BY-NC-SA 4.0 and are the user's to download.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..frames import MEL_HOP, MEL_RATE
from ..pitch.pitch import continuous
from .excitation import at_frame_starts, noise, phase_at_starts
from .vocoder import Frames, Vocoder, stream_with_context

SLOPE, LAST_SLOPE = 0.1, 0.01  # of the leaky rectifiers
OVERTONES = 8
AMPLITUDE = 0.1  # of each sine
NOISE_VOICED, NOISE_UNVOICED = 0.003, AMPLITUDE / 3
CONTEXT = 24  # mel frames: the generator's receptive field is 15 of them on either side


@dataclass(frozen=True)
class Shape:
    """What a checkpoint's config.json says of its generator. `mini` is PC-NSF's source; `noise_sigma` its noise."""

    rates: tuple[int, ...]
    kernels: tuple[int, ...]
    channels: int
    block_kernels: tuple[int, ...]
    block_dilations: tuple[tuple[int, ...], ...]
    bins: int
    sample_rate: int
    mini: bool = False
    noise_sigma: float = 0.0


class ResidualBlock(nn.Module):
    """HiFi-GAN's ResBlock1: pairs of a dilated and a plain convolution, each pair added to its input."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]):
        super().__init__()
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) * d // 2, dilation=d) for d in dilations
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(channels, channels, kernel, padding=kernel // 2) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 1, T), channels last in memory, and so is the result."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            y = _convolved(dilated, F.leaky_relu(x, SLOPE))
            x = _convolved(plain, F.leaky_relu(y, SLOPE, inplace=True)).add_(x)
        return x


def _convolved(conv: nn.Module, x: Tensor) -> Tensor:
    """A 1-d convolution as a 2-d one over channels-last memory, which a CPU need not reorder (x1.3 in bf16)."""
    assert isinstance(conv, nn.Conv1d)
    padding, dilation = (0, int(conv.padding[0])), (1, conv.dilation[0])
    return F.conv2d(x, conv.weight[:, :, None], conv.bias, padding=padding, dilation=dilation)


class Source(nn.Module):
    """Nine sines, mixed into one (the only learnt part of it): (B, 9, N) -> (B, 1, N)."""

    def __init__(self) -> None:
        super().__init__()
        self.l_linear = nn.Linear(OVERTONES + 1, 1)

    def forward(self, sines: Tensor) -> Tensor:
        """(B, 9, N) -> (B, 1, N)."""
        return torch.tanh(self.l_linear(sines.transpose(1, 2))).transpose(1, 2)


class Generator(nn.Module):
    """ln mel and excitation to sound. Its parameters have the names of the checkpoints."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        widths = [shape.channels // 2**i for i in range(len(shape.rates) + 1)]
        self.conv_pre = nn.Conv1d(shape.bins, shape.channels, 7, padding=3)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(wide, narrow, kernel, rate, padding=(kernel - rate) // 2)
            for wide, narrow, kernel, rate in zip(widths, widths[1:], shape.kernels, shape.rates, strict=False)
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, kernel, dilations)
            for width in widths[1:]
            for kernel, dilations in zip(shape.block_kernels, shape.block_dilations, strict=True)
        )
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3)
        if shape.mini:
            self.source_conv = nn.Conv1d(1, widths[2], 1)
        else:
            self.m_source = Source()
            strides = [math.prod(shape.rates[i + 1 :]) for i in range(len(shape.rates))]
            self.noise_convs = nn.ModuleList(
                nn.Conv1d(1, width, 2 * stride if stride > 1 else 1, stride, padding=stride // 2)
                for width, stride in zip(widths[1:], strides, strict=True)
            )

    def forward(self, mel: Tensor, sines: Tensor, hiss: Tensor | None = None) -> Tensor:
        """mel (B, bins, M), sines (B, 9, 512 M) (or "mini": (B, 1, 512 M / the last stages' rates)), hiss (B, C, M) ->
        (B, 1, 512 M), float32 whatever the dtype of the weights."""
        dtype = self.conv_pre.weight.dtype
        mel, sines = mel.to(dtype), sines.to(dtype)
        source = sines if self.shape.mini else self.m_source(sines)
        x = self.conv_pre(mel)
        if hiss is not None:
            x = x + hiss.to(dtype)
        kernels = len(self.shape.block_kernels)
        for i, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            if not self.shape.mini:
                x = x + self.noise_convs[i](source)
            elif i == 1:
                x = x + self.source_conv(source)
            x = x[:, :, None].contiguous(memory_format=torch.channels_last)
            first, *others = self.resblocks[i * kernels : (i + 1) * kernels]
            total = first(x)
            for block in others:
                total += block(x)
            x = total[:, :, 0] / kernels
        return torch.tanh(self.conv_post(F.leaky_relu(x, LAST_SLOPE).float()))


def sines(
    f0: NDArray[np.float64], phase: NDArray[np.float64], offsets: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """NSF's source before its noise: f0 (M,) Hz and phase (M,) cycles at frame starts -> float32 (9, 512 M), voiced.

    f0 holds through a frame, whose first sample has turned once already. `offsets` (9,) are the sines' own phases.
    """
    turns = phase[:, None] + f0[:, None] / MEL_RATE * np.arange(1, MEL_HOP + 1)
    voiced = np.repeat(f0 > 0, MEL_HOP)
    # The harmonics are the powers of the first one, turned round the unit circle: a fifth of the cost of their sines.
    first = np.exp(2j * np.pi * (turns.reshape(-1) % 1.0)).astype(np.complex64)
    harmonic = np.where(voiced, AMPLITUDE * first, 0).astype(np.complex64)
    waves = np.empty((len(offsets), len(first)), np.float32)
    for wave, offset in zip(waves, offsets, strict=True):
        wave[:] = (harmonic * np.exp(2j * np.pi * offset).astype(np.complex64)).imag
        harmonic *= first
    return waves, voiced


def chirp(
    start: NDArray[np.float64], end: NDArray[np.float64], phase: NDArray[np.float64], samples: int, rate: float
) -> NDArray[np.float32]:
    """PC-NSF's source: one sine whose f0 goes straight from `start` to `end` (M,) in a frame of `samples` at `rate` Hz.

    float32 (1, M * samples).
    """
    n = np.arange(1, samples + 1)
    turns = phase[:, None] + _turned(start[:, None] / rate, (end - start)[:, None] / rate, n, samples)
    return np.sin(2 * np.pi * (turns.reshape(1, -1) % 1.0)).astype(np.float32)


def _turned(begins: Any, rises: Any, n: Any, samples: int) -> Any:
    """Cycles after n samples of a frame that begins at `begins` cycles a sample and ends `rises` faster."""
    return begins * n + 0.5 * rises * n * (n - 1) / samples


class NsfHifiGan(Vocoder):
    """A generator as a `Vocoder`, loaded by `nsf_hifigan_files.load`."""

    def __init__(self, generator: Generator, metadata: dict[str, Any], device: str = "cpu", bf16: bool = False):
        self.generator = generator.to(device).eval().requires_grad_(False)
        if bf16:
            self.generator.to(torch.bfloat16).conv_post.float()  # the output is not rounded to 8 bits
        self.device, self.bf16 = device, bf16
        self.name = "pc-nsf-hifigan" if generator.shape.mini else "nsf-hifigan"
        self.metadata = {**metadata, "precision": "bf16" if bf16 else "fp32"}

    def generate(self, mels: Iterable[Frames], f0: Frames) -> Iterator[Frames]:
        excite = self._mini(f0) if self.generator.shape.mini else self._sines(f0)

        def sing(mel: Frames, start: int) -> Frames:
            stop = start + len(mel)
            source = torch.from_numpy(excite(start, stop))[None].to(self.device)
            sigma, hiss = self.generator.shape.noise_sigma, None
            if sigma > 0:
                drawn = noise(1, start, stop, self.generator.shape.channels)[:, ::MEL_HOP]
                hiss = sigma * torch.from_numpy(drawn.copy())[None].to(self.device)
            with torch.inference_mode():
                wav = self.generator(torch.from_numpy(mel.T.copy())[None].to(self.device), source, hiss)
            return wav[0, 0].cpu().numpy()

        return stream_with_context(mels, len(f0), CONTEXT, sing)

    def _sines(self, f0: Frames) -> Any:
        hertz = f0.astype(np.float64)
        phase = phase_at_starts(hertz * MEL_HOP / MEL_RATE)
        # The reference draws these anew for every song; here they are fixed, so that renders are reproducible.
        offsets = np.append(0.0, np.random.default_rng(0).uniform(size=OVERTONES))
        # In the reference each sine has its own noise, and the nine are mixed: this equals one noise, drawn once.
        shares = self.generator.m_source.l_linear.weight.detach().float().cpu().numpy().T
        shares = shares / max(float(np.linalg.norm(shares)), 1e-12)

        def excite(start: int, stop: int) -> NDArray[np.float32]:
            waves, voiced = sines(hertz[start:stop], phase[start:stop], offsets)
            hiss = np.where(voiced, np.float32(NOISE_VOICED), np.float32(NOISE_UNVOICED)) * noise(0, start, stop)[0]
            for wave, share in zip(waves, shares, strict=True):
                wave += share * hiss
            return waves

        return excite

    def _mini(self, f0: Frames) -> Any:
        rates = self.generator.shape.rates
        samples, rate = math.prod(rates[:2]), MEL_RATE / math.prod(rates[2:])
        # This source needs f0 without gaps, at the frames' starts.
        start_hz, end_hz = at_frame_starts(continuous(f0))
        phase = phase_at_starts(_turned(start_hz / rate, (end_hz - start_hz) / rate, samples, samples))

        def excite(start: int, stop: int) -> NDArray[np.float32]:
            part = slice(start, stop)
            return chirp(start_hz[part], end_hz[part], phase[part], samples, rate)

        return excite
