"""The convolutions of the wav2vec 2.0 family as products of matrices: windows by weights, and spectra by weights.

The weights are those of the transformers modules, and so is the result, up to rounding. Everything is [B, time,
channels], so that the norms over channels and the linear layers that follow need no transposed copy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..frames import CONTENT_HOP


def windows(x: Tensor, kernel: int, stride: int) -> Tensor:
    """The input of each step of a convolution: [B, T, C] -> [B, (T - kernel) // stride + 1, kernel * C]."""
    return x.unfold(1, kernel, stride).transpose(2, 3).flatten(2)


def placed(module: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """The module itself if its weights are on the device in the dtype, else a copy whose weights are."""
    if all((weight.device, weight.dtype) == (device, dtype) for weight in module.parameters()):
        return module
    return copy.deepcopy(module).to(device, dtype)


@dataclass(frozen=True)
class Convolution:
    """A convolution, the norm after it and the activation after that.

    `weight` is [out, kernel * in] and `bias` [out]; or, if every clip has its own, [B, out, kernel * in] and [B, 1,
    out]. `norm` is over channels or over time, or nothing. `dtype` is that of the activation's result.
    """

    kernel: int
    stride: int
    weight: Tensor
    bias: Tensor | None
    norm: nn.Module
    activation: Callable[[Tensor], Tensor]
    dtype: torch.dtype

    @classmethod
    def of(cls, layer: Any, device: torch.device, takes: torch.dtype, dtype: torch.dtype) -> Convolution:
        """One of transformers' `...ConvLayer`s, whose input is of dtype `takes`."""
        conv, norm = layer.conv, getattr(layer, "layer_norm", nn.Identity())
        weight = conv.weight.detach().permute(0, 2, 1).flatten(1).to(device, takes)
        bias = None if conv.bias is None else conv.bias.detach().to(device, takes)
        norm = placed(norm, device, takes)
        return cls(conv.kernel_size[0], conv.stride[0], weight, bias, norm, layer.activation, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """[B, T, in] -> [B, (T - kernel) // stride + 1, out]."""
        steps = windows(x, self.kernel, self.stride)
        if self.bias is not None and self.bias.dim() == 3:
            x = torch.baddbmm(self.bias, steps, self.weight.mT)
        else:
            x = F.linear(steps.flatten(0, 1), self.weight, self.bias).unflatten(0, steps.shape[:2])
        return self.activation(self.norm(x).to(self.dtype))

    def folded(self, x: Tensor, lengths: Tensor) -> Convolution:
        """The same for the clips x [B, T, in], zero beyond int64 [B] lengths, with a norm over time in its weights.

        A channel's mean and variance over time follow from the mean and the covariance of the convolution's input
        windows, here in float64. Any other norm stays as it is.
        """
        if not isinstance(self.norm, nn.GroupNorm):
            return self
        steps = windows(x.double(), self.kernel, self.stride)
        # Windows that begin beyond a clip's last own one are zero: sums over all are sums over its own.
        count = ((lengths - self.kernel) // self.stride + 1)[:, None, None]
        mean = steps.sum(1, keepdim=True) / count
        covariance = steps.mT @ steps / count - mean.mT @ mean
        weight = self.weight.double()
        variance = ((weight @ covariance) * weight).sum(-1).clamp(min=0)  # [B, out]
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        bias = self.norm.bias - scale * (mean @ weight.mT)[:, 0]  # the mean removes a bias
        return replace(self, weight=(scale[..., None] * weight).float(), bias=bias[:, None].float(), norm=nn.Identity())


class FrameConvolutions:
    """A waveform's convolved frames, one every 20 ms: transformers' `...FeatureEncoder`.

    The first convolution computes in float32, the others in `dtype`. Once the group norm is folded into the weights a
    frame depends on nothing but `window` samples, so the frames are made in blocks of `block` samples, which stay in
    the cache of a CPU and need little of a GPU's memory.
    """

    def __init__(self, extractor: Any, window: int, device: torch.device, dtype: torch.dtype, block: int):
        """`extractor` has the layers, `window` is their receptive field in samples."""
        first, *rest = extractor.conv_layers
        self.first = Convolution.of(first, device, torch.float32, dtype)
        self.rest = [Convolution.of(layer, device, dtype, dtype) for layer in rest]
        self.window, self.block = window, block

    def __call__(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """float32 [B, T] at 16 kHz, zero beyond int64 [B] lengths -> `dtype` [B, (T - window) // 320 + 1, channels]."""
        if len(wavs) > 1 and wavs.numel() > self.block:
            together = max(1, self.block // wavs.shape[1])
            return torch.cat([self(*part) for part in zip(wavs.split(together), lengths.split(together), strict=True)])
        first = self.first.folded(wavs[..., None], lengths)
        frames = (wavs.shape[1] - self.window) // CONTENT_HOP + 1
        step = max(1, self.block // (len(wavs) * CONTENT_HOP))
        blocks = []
        for start in range(0, frames, step):
            end = min(start + step, frames)
            x = wavs[:, start * CONTENT_HOP : (end - 1) * CONTENT_HOP + self.window, None]
            for convolution in (first, *self.rest):
                x = convolution(x)
            blocks.append(x)
        return torch.cat(blocks, 1)


class PositionalConvolution:
    """The encoding of positions: transformers' `...PositionalConvEmbedding`, a grouped convolution over 128 frames.

    It is computed in float32, by Fourier transforms of overlapping blocks (overlap-save), in a fifth of the time of
    direct summation. For a clip that is short beside the kernel, the part of the kernel that meets it is summed.
    """

    def __init__(self, embedding: Any, device: torch.device):
        conv = embedding.conv
        self.groups, self.kernel, self.reach = conv.groups, conv.kernel_size[0], conv.padding[0]
        self.weight = conv.weight.detach().to(device)  # [C, C / groups, kernel]
        self.bias = conv.bias.detach().to(device)
        self.activation = embedding.activation
        # A network's convolution is a correlation, hence the conjugate. [bin, group, in, out]
        spectrum = torch.fft.rfft(self.weight.unflatten(0, (self.groups, -1)), 2 * self.kernel).conj()
        self.spectrum = spectrum.permute(3, 0, 2, 1).contiguous()

    def __call__(self, x: Tensor, beyond: Tensor) -> Tensor:
        """[B, T, C], zero where bool [B, T] `beyond` is set -> float32 [B, T, C]."""
        x = x.float().mT
        moved = self._summed(x) if x.shape[-1] < self.kernel // 4 else self._transformed(x)
        return self.activation((moved[..., : x.shape[-1]] + self.bias[:, None]).mT)

    def _summed(self, x: Tensor) -> Tensor:
        reach = min(self.reach, x.shape[-1] - 1)
        weight = self.weight[..., self.reach - reach : self.reach + reach + 1]
        return F.conv1d(x, weight, padding=reach, groups=self.groups)

    def _transformed(self, x: Tensor) -> Tensor:
        batch, channels, frames = x.shape
        size, hop = 2 * self.kernel, self.kernel + 1  # frames in a transform, and those of them that are new
        count = -(-frames // hop)
        x = F.pad(x, (self.reach, (count - 1) * hop + size - self.reach - frames)).unfold(2, size, hop)
        spectrum = torch.fft.rfft(x).unflatten(1, (self.groups, -1))  # [B, group, in, count, bin]
        moved = spectrum.permute(4, 1, 0, 3, 2).flatten(2, 3) @ self.spectrum  # [bin, group, B * count, out]
        spectrum = moved.unflatten(2, (batch, count)).permute(2, 1, 4, 3, 0)  # [B, group, out, count, bin]
        return torch.fft.irfft(spectrum, size)[..., :hop].reshape(batch, channels, -1)
