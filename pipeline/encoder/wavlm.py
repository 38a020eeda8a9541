"""WavLM (Chen et al., 2021, arXiv 2110.13900): HuBERT with a gated relative position bias in attention.

kNN-VC takes layer 6 of WavLM-Large (Baas et al., 2023, arXiv 2305.18975), seed-vc's speech model uses it as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoints.config_fields import Check, whole
from .network import Network
from .transformers_encoder import MOST_WIDTH
from .waveform_transformer import WaveformEncoder, WaveformTransformer


class WavLM(WaveformEncoder):
    """A WavLM of any size."""

    model_type = "wavlm"
    short_names: ClassVar[Mapping[str, str]] = {
        "wavlm": "microsoft/wavlm-base-plus",
        "wavlm-large": "microsoft/wavlm-large",
    }
    fields: ClassVar[Mapping[str, Check]] = {
        **WaveformEncoder.fields,
        "num_buckets": whole(4, MOST_WIDTH),
        "max_bucket_distance": whole(2, 1 << 24),
    }
    prefixes: ClassVar[tuple[str, ...]] = ("wavlm.",)

    @classmethod
    def classes(cls) -> tuple[type[Any], type[Any]]:
        from transformers import WavLMConfig, WavLMModel

        return WavLMConfig, WavLMModel

    def build_network(self, device: torch.device, dtype: torch.dtype) -> Network:
        return WavLMNetwork(self.model, self.padding, self.normalize, device, dtype)


class WavLMNetwork(WaveformTransformer):
    """`WaveformTransformer` with WavLM's attention: transformers computes the same, with all weights of all heads."""

    def transformed(self, x: Tensor, mask: Tensor | None, depth: int) -> Iterator[Tensor]:
        bias = self.layers[0].attention.compute_bias(x.shape[1], x.shape[1])[None]  # [1, heads, U, U], for all layers
        for layer in self.layers[:depth]:
            if self.norm_is_last:
                x = x + attended(layer.attention, layer.layer_norm(x), bias, mask)
                x = x + layer.feed_forward(layer.final_layer_norm(x))
            else:
                x = layer.layer_norm(x + attended(layer.attention, x, bias, mask))
                x = layer.final_layer_norm(x + layer.feed_forward(x))
            yield x


def attended(attention: Any, x: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    """Self-attention with the position bias scaled by gates that each frame and head computes (the paper's eq. 4-7).

    Args:
        attention: transformers' `WavLMAttention`.
        x: [B, U, C].
        bias: [1, heads, U, U], what positions add to the scores, before the gates.
        mask: [B, 1, 1, U] or None, added to the scores.

    Returns:
        [B, U, C].
    """
    heads = (x.shape[0], x.shape[1], attention.num_heads, -1)
    split = x.view(heads).transpose(1, 2)  # [B, heads, U, C / heads]
    gates = attention.gru_rel_pos_linear(split).unflatten(-1, (2, 4)).sum(-1).sigmoid()
    update, reset = gates.chunk(2, -1)  # [B, heads, U, 1]
    scores = (update * (reset * attention.gru_rel_pos_const - 1.0) + 2.0) * bias
    query, key, value = (
        linear(x).view(heads).transpose(1, 2) for linear in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    scores = scores if mask is None else scores + mask
    x = F.scaled_dot_product_attention(query, key, value, scores)
    out: Tensor = attention.out_proj(x.transpose(1, 2).flatten(2))
    return out
