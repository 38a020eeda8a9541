"""The wav2vec 2.0 family: convolutions over the waveform, then a transformer (Baevski et al., 2020, arXiv 2006.11477).

HuBERT, wav2vec 2.0, WavLM and data2vec-audio have this form, and differ in how positions are encoded and in attention.
The convolutions and positions are computed by this module in another order than transformers does, for speed and so
that padding changes nothing; the transformer's layers are those of the transformers model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoints.config_fields import Check, activation, choice, flag, number, whole, whole_or_none, wholes
from ..checkpoints.model_folder import ModelFolder
from ..frames import CONTENT_HOP
from ..full_precision import full_precision
from ..projection import SoftHead
from .convolutions import FrameConvolutions, PositionalConvolution, placed
from .network import EncoderError, EncoderSettings, Network
from .transformers_encoder import MOST_LAYERS, MOST_WIDTH, TransformersEncoder

CPU_BLOCK, GPU_BLOCK = 16_000, 1 << 20  # samples convolved at a time

# Fields that all four kinds have in config.json.
FIELDS: Mapping[str, Check] = {
    "hidden_size": whole(1, MOST_WIDTH),
    "num_hidden_layers": whole(1, MOST_LAYERS),
    "num_attention_heads": whole(1, MOST_WIDTH),
    "intermediate_size": whole(1, MOST_WIDTH),
    "hidden_act": activation,
    "layer_norm_eps": number(0.0, 1.0),
    "feat_extract_activation": activation,
    "conv_dim": wholes(1, MOST_WIDTH),
    "conv_stride": wholes(1, CONTENT_HOP),
    "conv_kernel": wholes(1, MOST_WIDTH),
    "conv_bias": flag,
    "num_conv_pos_embeddings": whole(1, MOST_WIDTH),
    "num_conv_pos_embedding_groups": whole(1, MOST_WIDTH),
    "mask_time_prob": number(0.0, 1.0),  # above 0 there is a tensor `masked_spec_embed`
    "mask_feature_prob": number(0.0, 1.0),
}
# Fields of the kinds with a choice of norms: all but data2vec.
NORM_FIELDS: Mapping[str, Check] = {"feat_extract_norm": choice("group", "layer"), "do_stable_layer_norm": flag}
ADAPTER_FIELDS: Mapping[str, Check] = {"adapter_attn_dim": whole_or_none(1, MOST_WIDTH)}


class WaveformEncoder(TransformersEncoder):
    """A model of the wav2vec 2.0 family. `normalize`: each clip is brought to zero mean and unit variance first.

    Zeros are put at both ends of a clip, half of what the convolutions' receptive field is longer than the hop: 40
    samples for a receptive field of 400. So a clip of T samples has T // 320 frames, and frame i is centred at
    (i + 0.5) * 320 samples.
    """

    fields: ClassVar[Mapping[str, Check]] = {**FIELDS, **NORM_FIELDS}
    may_lack: ClassVar[tuple[str, ...]] = ("masked_spec_embed",)
    normalizes_unless_told: ClassVar[bool] = True

    def __init__(self, model: Any, normalize: bool, settings: EncoderSettings, head: SoftHead | None = None):
        """Raises EncoderError for a model with another hop than 320 samples, ValueError for an unknown precision."""
        config = model.config
        hop, self.receptive_field = hop_and_receptive_field(config.conv_kernel, config.conv_stride)
        if hop != CONTENT_HOP:
            raise EncoderError(f"{settings.name} makes a frame every {hop} samples; {CONTENT_HOP} are expected")
        if self.receptive_field < hop:
            raise EncoderError(f"the convolutions of {settings.name} skip samples, which is not supported")
        self.normalize = normalize
        super().__init__(
            model, settings, hidden_size=int(config.hidden_size), layers=int(config.num_hidden_layers), head=head
        )

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after a clip, in samples."""
        both = self.receptive_field - self.hop
        return both // 2, both - both // 2

    @classmethod
    def from_folder(cls, folder: ModelFolder, settings: EncoderSettings) -> Self:
        normalize = folder.settings("preprocessor_config.json").get("do_normalize", cls.normalizes_unless_told)
        return cls(cls.read_model(folder), bool(normalize), settings)

    def build_network(self, device: torch.device, dtype: torch.dtype) -> Network:
        return WaveformTransformer(self.model, self.padding, self.normalize, device, dtype)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "normalize": self.normalize, "pad": self.padding[0]}


def hop_and_receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Samples between the frames of stacked convolutions, and samples that one frame depends on."""
    field, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return hop, field


class WaveformTransformer:
    """A model of the family that computes in `dtype` on `device`. It shares the transformers model's layers if it can.

    Norms take their statistics, and attention its softmax, in float32 whatever the dtype; a group norm in float64.
    """

    def __init__(self, model: Any, padding: tuple[int, int], normalize: bool, device: torch.device, dtype: torch.dtype):
        self.device, self.dtype, self.padding, self.normalize = device, dtype, padding, normalize
        self.convolutions = FrameConvolutions(
            model.feature_extractor,
            CONTENT_HOP + sum(padding),
            device,
            dtype,
            CPU_BLOCK if device.type == "cpu" else GPU_BLOCK,
        )
        self.position = self.build_position(model.encoder.pos_conv_embed)
        self.projection = placed(model.feature_projection, device, dtype)
        self.norm = placed(model.encoder.layer_norm, device, dtype)
        self.norm_is_last = bool(getattr(model.config, "do_stable_layer_norm", False))
        self.layers = placed(model.encoder.layers, device, dtype)
        # A frame's most bytes: every layer's state in `dtype` and float32, one layer's own, and the position's spectra.
        config = model.config
        frame = (8 * len(self.layers) + 64) * config.hidden_size + 8 * config.intermediate_size
        self.bytes_per_sample = frame / CONTENT_HOP

    def build_position(self, embedding: Any) -> Callable[[Tensor, Tensor], Tensor]:
        """Encode positions: [B, U, C], zero where bool [B, U] is set, beyond a clip -> float32 [B, U, C]."""
        return PositionalConvolution(embedding, self.device)

    @torch.inference_mode()
    def __call__(self, wavs: Tensor, lengths: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """As `Network` says. Layer 0 is the projected convolutions with positions; the last one is normed."""
        frames = lengths // CONTENT_HOP
        lengths = lengths.to(self.device, non_blocking=True)
        if self.normalize:
            wavs = normalized(wavs, lengths)
        wavs = F.pad(wavs, self.padding)
        with full_precision():
            x = first(self.projection(self.convolutions(wavs, lengths + sum(self.padding))))
            beyond = Beyond(frames, x.shape[1], self.device)
            x = x.masked_fill(beyond.mask[..., None], 0)
            x = x + self.position(x, beyond.mask).to(self.dtype)
            if not self.norm_is_last:
                x = self.norm(x)
            states = {0: x}
            mask = beyond.attention_mask(self.dtype)
            for number, output in enumerate(self.transformed(x, mask, max(layers)), 1):
                states[number] = output
                if number - 1 not in layers:
                    del states[number - 1]
            # With stable layer norm the last state is the normed one; transformers' hidden_states[-1] may not be.
            if self.norm_is_last and len(self.layers) in states:
                states[len(self.layers)] = self.norm(states[len(self.layers)])
            return {layer: states[layer] for layer in layers}

    def transformed(self, x: Tensor, mask: Tensor | None, depth: int) -> Iterator[Tensor]:
        """The output of each of the first `depth` layers: [B, U, C]. `mask` is added to attention scores."""
        for layer in self.layers[:depth]:
            x = first(layer(x, attention_mask=mask))
            yield x


def normalized(wavs: Tensor, lengths: Tensor) -> Tensor:
    """Each clip with zero mean and unit variance: transformers' Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm.

    float32 [B, T], zero beyond int64 [B] lengths, which stays zero and does not count.
    """
    own = torch.arange(wavs.shape[1], device=wavs.device) < lengths[:, None]
    count = lengths[:, None].to(wavs.dtype)
    centred = (wavs - wavs.sum(1, keepdim=True) / count) * own
    return centred / torch.sqrt(centred.square().sum(1, keepdim=True) / count + 1e-7)


class Beyond:
    """The frames of a batch that lie beyond their clip: `mask` is bool [B, U] on the device."""

    def __init__(self, frames: Tensor, width: int, device: torch.device):
        """`frames` is int64 [B] on the CPU, the frames of each clip; `width` is U."""
        self.mask = torch.arange(width, device=device) >= frames.to(device, non_blocking=True)[:, None]
        self.anywhere = int(frames.min()) < width

    def attention_mask(self, dtype: torch.dtype) -> Tensor | None:
        """The term added to attention scores: [B, 1, 1, U], the dtype's lowest number where `mask` is set.

        None if it is set nowhere: attention over clips of one length is faster without a mask.
        """
        if not self.anywhere:
            return None
        lowest = torch.finfo(dtype).min
        return torch.zeros_like(self.mask, dtype=dtype).masked_fill(self.mask, lowest)[:, None, None]


def first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The tensor that a module returns, or the first of several; of the same shape."""
    return output if isinstance(output, Tensor) else output[0]
