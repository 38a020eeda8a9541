"""The student: a `HubertModel` that begins as the first four layers of Whisper's encoder.

HuBERT with stable layer norm has the same pre-norm block as Whisper's encoder, so the weights of Whisper's layers fit
as they are. Two things stand before them.

*The spectrum.* Whisper's input is log-mel frames, HuBERT's the waveform. The first convolution (25 ms, every 10 ms)
begins as pairs of windowed cosines and sines with both signs: after layer norm and GELU these are rectified, so that
their sums are magnitudes. The next is a layer over channels only; the last two have the kernels and the stride of
Whisper's own convolutions, so that a frame sees what Whisper's frame sees.

*The position.* Whisper adds a sinusoid of the position, and its first two layers are lost without it (error 1.6, in
units of the variance, where it is .24 with it). HuBERT has a convolution over frames in that place. A convolution whose
input is constant, with zeros before the first frame, gives the running sum of its kernel: any function of the position.
So the projection adds a constant `OFFSET` to every channel, the kernel of each channel holds the differences of its
sinusoid, and the constant goes again with the bias of the first attention (a layer norm over channels does not see it
in between). Positions count up to `REACH` frames; the frames after that have the last one's.

While it learns the student is computed with the sinusoid itself; `with_position` puts it into the convolution.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...pipeline.encoder.waveform_transformer import hop_and_receptive_field
from .corpus import RATE

KERNELS, STRIDES = (400, 1, 3, 3), (160, 1, 1, 2)
REACH = 750  # frames, 15 s
OFFSET = 32.0
LIFT = 4.0  # above which GELU leaves numbers as they are
WIDTH, HEADS, INNER = 512, 8, 2048
WHISPER_LAYERS = (0, 1, 2, 3)
LAYERS = len(WHISPER_LAYERS)
BANDS = WIDTH // 4 - 4  # filters, each with two phases and two signs; the other channels hold the level
LEVELS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def padding() -> int:
    """Zeros each side with which frame i is centred at (i + 0.5) * 20 ms."""
    hop, receptive_field = hop_and_receptive_field(KERNELS, STRIDES)
    return (receptive_field - hop) // 2


PAD = padding()


def config(layers: int = LAYERS) -> Any:
    """The student's `transformers.HubertConfig`."""
    from transformers import HubertConfig

    return HubertConfig(
        hidden_size=WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        do_stable_layer_norm=True,
        feat_extract_norm="layer",
        conv_bias=True,
        conv_dim=[WIDTH] * len(KERNELS),
        conv_kernel=list(KERNELS),
        conv_stride=list(STRIDES),
        num_conv_pos_embeddings=2 * REACH,
        num_conv_pos_embedding_groups=WIDTH,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        layerdrop=0.0,
        apply_spec_augment=False,
        mask_time_prob=0.0,
    )


def filter_bank() -> tuple[Tensor, Tensor]:
    """Weight (WIDTH, 1, 400) and bias (WIDTH,) of the first convolution."""
    mel = np.linspace(0, 2595 * np.log10(1 + 7800 / 700), BANDS + 1)
    edges = 700 * (10 ** (mel / 2595) - 1)
    centres = np.maximum((edges[1:] + edges[:-1]) / 2, 40)
    time = (np.arange(KERNELS[0]) - (KERNELS[0] - 1) / 2) / RATE
    rows = []
    for centre, width in zip(centres, np.diff(edges), strict=True):
        # A window as short as the band is wide, but not longer than the kernel.
        seconds = np.clip(2.0 / max(width, 1.0), 0.010, 0.025)
        window = np.where(np.abs(time) < seconds / 2, 0.5 + 0.5 * np.cos(2 * np.pi * time / seconds), 0)
        gain = (centre / 500) ** 0.6 / window.sum()  # voices are weaker at high frequencies
        for phase in (0.0, np.pi / 2):
            wave = window * np.cos(2 * np.pi * centre * time + phase) * gain
            rows += [wave, -wave]
    weight = torch.zeros(WIDTH, 1, KERNELS[0])
    weight[: len(rows), 0] = torch.from_numpy(np.array(rows, np.float32)) * 4
    bias = torch.zeros(WIDTH)
    bias[len(rows) :] = torch.tensor([sign * level for level in LEVELS for sign in (1, -1)]) * 0.3
    return weight, bias


def from_whisper(folder: Path, layers: tuple[int, ...] = WHISPER_LAYERS) -> Any:
    """A student with the filter bank, and with these layers of a Whisper's encoder (a transformers folder)."""
    from transformers import HubertModel, WhisperModel

    student: Any = HubertModel(config(len(layers)))
    encoder: Any = WhisperModel.from_pretrained(str(folder), dtype=torch.float32).encoder
    weight, bias = filter_bank()
    convolutions = [layer.conv for layer in student.feature_extractor.conv_layers]
    with torch.no_grad():
        convolutions[0].weight.copy_(weight)
        convolutions[0].bias.copy_(bias)
        convolutions[-1].weight.copy_(encoder.conv2.weight)
        convolutions[-1].bias.copy_(encoder.conv2.bias)
        for own, number in zip(student.encoder.layers, layers, strict=True):
            given = encoder.layers[number]
            pairs = [(own.layer_norm, given.self_attn_layer_norm), (own.final_layer_norm, given.final_layer_norm)]
            pairs += [(own.feed_forward.intermediate_dense, given.fc1), (own.feed_forward.output_dense, given.fc2)]
            pairs += [
                (getattr(own.attention, f"{part}_proj"), getattr(given.self_attn, f"{part}_proj")) for part in "qkv"
            ]
            pairs += [(own.attention.out_proj, given.self_attn.out_proj)]
            for mine, theirs in pairs:
                mine.weight.copy_(theirs.weight)
                mine.bias.copy_(torch.zeros_like(mine.bias) if theirs.bias is None else theirs.bias)
    return student


def sinusoids(frames: int) -> Tensor:
    """Whisper's embedding of the position: float32 (frames, WIDTH)."""
    count = WIDTH // 2
    scale = torch.exp(-np.log(10_000) / (count - 1) * torch.arange(count, dtype=torch.float64))
    angle = torch.arange(frames, dtype=torch.float64)[:, None] * scale
    return torch.cat([angle.sin(), angle.cos()], 1).float()


def embedded(student: Any, wavs: Tensor) -> Tensor:
    """The projected convolutions of waveforms (B, T) at 16 kHz: (B, T // 320, WIDTH)."""
    features = student.feature_extractor(F.pad(wavs, (PAD, PAD))).transpose(1, 2)
    projected = student.feature_projection(features)
    x: Tensor = projected[0] if isinstance(projected, tuple) else projected
    return x


def states(student: Any, wavs: Tensor) -> list[Tensor]:
    """Hidden states of waveforms (B, T) at 16 kHz, (B, T // 320, WIDTH) each.

    The first layer's input, then each layer's output; the last one is after the final layer norm.
    """
    x = embedded(student, wavs)
    x = x + sinusoids(x.shape[1])
    found = [x]
    for layer in student.encoder.layers:
        out = layer(x)
        x = out[0] if isinstance(out, tuple) else out
        found.append(x)
    found[-1] = student.encoder.layer_norm(x)
    return found


def half(values: Tensor) -> Tensor:
    """Values of any shape, rounded to float16: float32 of that shape."""
    return values.half().float()


@torch.no_grad()
def with_position(student: Any, mean: Tensor) -> None:
    """Put the sinusoid into the positional convolution, for a file in float16.

    `mean`, of shape (WIDTH,), is that of `embedded`: the kernel sums it with the constant. A bias of 32 and more loses
    its fraction in float16; the convolution and the next bias restore it.
    """
    projection, first = student.feature_projection.projection, student.encoder.layers[0]
    bias = projection.bias + OFFSET
    projection.bias.copy_(half(bias))
    wanted = sinusoids(REACH) + LIFT + (bias - projection.bias)
    steps = torch.cat([wanted[:1], wanted[1:] - wanted[:-1]])
    kernel = torch.zeros(WIDTH, 1, 2 * REACH)
    kernel[:, 0, 1 : REACH + 1] = (steps / (OFFSET + mean)).T.flip(1)
    position = student.encoder.pos_conv_embed.conv
    norm = kernel.norm(dim=(0, 1), keepdim=True)
    position.parametrizations.weight.original0.copy_(norm)
    position.parametrizations.weight.original1.copy_(torch.where(norm > 0, kernel, torch.ones_like(kernel)))
    position.bias.zero_()
    bias = first.attention.out_proj.bias - (OFFSET + LIFT)
    first.attention.out_proj.bias.copy_(half(bias))
    first.feed_forward.output_dense.bias.add_(bias - first.attention.out_proj.bias)


def normalised(wavs: Tensor) -> Tensor:
    """Waveforms (..., T) with zero mean and unit variance over T, as `do_normalize` does: the same shape."""
    return (wavs - wavs.mean(-1, keepdim=True)) / torch.sqrt(wavs.var(-1, keepdim=True, unbiased=False) + 1e-7)
