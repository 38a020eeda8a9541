"""Losses of a vocoder: how the spectra of its sound differ from the recording's, and adversarial losses."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..mel import log_mel

RESOLUTIONS = (256, 512, 1024, 2048)  # STFT sizes, in samples
FLOOR = 1e-4  # magnitude: lower values are inaudible


def spectral_loss(wav: Tensor, truth: Tensor) -> Tensor:
    """Multi-resolution STFT loss (Yamamoto et al., 2020, arXiv 1910.11480): float (B, T) twice -> a scalar.

    Mean |difference| of ln magnitude, and spectral convergence, over windows of 6 to 46 ms.
    """
    total = wav.new_zeros(())
    for size in RESOLUTIONS:
        got, wanted = magnitudes(wav, size), magnitudes(truth, size)
        convergence = torch.linalg.norm(wanted - got) / torch.linalg.norm(wanted).clamp(min=1e-3)
        total = total + (got.clamp(min=FLOOR).log() - wanted.clamp(min=FLOOR).log()).abs().mean() + convergence
    return total / len(RESOLUTIONS)


def mel_loss(wav: Tensor, truth: Tensor) -> Tensor:
    """Mean |difference| in ln mel: float (B, T) twice -> a scalar."""
    pairs = zip(wav, truth, strict=True)
    return torch.stack([(log_mel(got) - log_mel(wanted)).abs().mean() for got, wanted in pairs]).mean()


def magnitudes(wav: Tensor, size: int) -> Tensor:
    """STFT magnitudes by windows of `size`, a quarter apart: (B, T) -> (B, size // 2 + 1, frames)."""
    window = torch.hann_window(size, device=wav.device)
    spectrum = torch.stft(wav, size, size // 4, window=window, return_complex=True)
    return spectrum.real.square().add(spectrum.imag.square()).clamp(min=1e-10).sqrt()


class SpectrogramDiscriminator(nn.Module):
    """Classifies ln magnitudes of one resolution, patch by patch, as recorded or generated."""

    def __init__(self, size: int, channels: int):
        super().__init__()
        self.size = size
        widths = [1, channels, channels, 2 * channels, 2 * channels]
        norm = nn.utils.parametrizations.weight_norm
        self.layers = nn.ModuleList(
            norm(nn.Conv2d(narrow, wide, (7, 3), stride=(3 if i < 3 else 1, 1), padding=(3, 1)))
            for i, (narrow, wide) in enumerate(pairwise(widths))
        )
        self.output = norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, wav: Tensor) -> tuple[Tensor, list[Tensor]]:
        """wav (B, T) -> scores, and the features of each layer."""
        x = magnitudes(wav, self.size).clamp(min=FLOOR).log()[:, None] / 4 + 1
        seen = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            seen.append(x)
        return self.output(x), seen


class Discriminator(nn.Module):
    """Three spectrogram discriminators (multi-resolution: Jang et al., 2021, arXiv 2106.07889), with least squares."""

    def __init__(self, channels: int = 16):
        super().__init__()
        self.resolutions = nn.ModuleList(SpectrogramDiscriminator(size, channels) for size in (512, 1024, 2048))

    def loss(self, wav: Tensor, truth: Tensor) -> Tensor:
        """The discriminator's loss, a scalar: 1 is right for recordings, 0 for what was generated. Both (B, T)."""
        outputs = [(net(wav.detach())[0], net(truth)[0]) for net in self.resolutions]
        return torch.stack([false.square().mean() + (true - 1).square().mean() for false, true in outputs]).mean()

    def generator_losses(self, wav: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's adversarial and feature-matching losses, scalars; of sounds (B, T)."""
        adversarial, matching = [], []
        for net in self.resolutions:
            output, features = net(wav)
            with torch.no_grad():
                _, wanted = net(truth)
            adversarial.append((output - 1).square().mean())
            matching.append(torch.stack([(a - b).abs().mean() for a, b in zip(features, wanted, strict=True)]).mean())
        return torch.stack(adversarial).mean(), torch.stack(matching).mean()
