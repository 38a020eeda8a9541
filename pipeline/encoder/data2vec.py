"""data2vec for audio (Baevski et al., 2022, arXiv 2202.03555): wav2vec 2.0 with other positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..checkpoints.config_fields import Check, whole
from .convolutions import placed
from .network import Network
from .waveform_transformer import FIELDS, WaveformEncoder, WaveformTransformer


class Data2VecAudio(WaveformEncoder):
    """A data2vec-audio of any size."""

    model_type = "data2vec-audio"
    fields: ClassVar[Mapping[str, Check]] = {
        **FIELDS,
        "num_conv_pos_embeddings": whole(1, 64),  # here the number of convolutions, not the width of one
        "conv_pos_kernel_size": whole(1, 4096),
    }
    prefixes: ClassVar[tuple[str, ...]] = ("data2vec_audio.",)

    @classmethod
    def classes(cls) -> tuple[type[Any], type[Any]]:
        from transformers import Data2VecAudioConfig, Data2VecAudioModel

        return Data2VecAudioConfig, Data2VecAudioModel

    def build_network(self, device: torch.device, dtype: torch.dtype) -> Network:
        return Data2VecNetwork(self.model, self.padding, self.normalize, device, dtype)


class Data2VecNetwork(WaveformTransformer):
    """`WaveformTransformer` with positions from a stack of convolutions."""

    def build_position(self, embedding: Any) -> Callable[[Tensor, Tensor], Tensor]:
        """Data2vec's stack of convolutions, as a function of the same shapes."""
        return StackedPositions(placed(embedding, self.device, self.dtype))


class StackedPositions:
    """transformers' `Data2VecAudioPositionalConvEmbedding`, in its own dtype, exact in a batch.

    A convolution pads a clip with zeros. In a batch, the frames after a shorter clip must therefore be zero before each
    of the stacked convolutions, and not only before the first.
    """

    def __init__(self, embedding: Any):
        self.layers = embedding.layers

    def __call__(self, x: Tensor, beyond: Tensor) -> Tensor:
        """[B, T, C], zero where bool [B, T] `beyond` is set -> [B, T, C]."""
        x = x.mT
        for layer in self.layers:
            x = layer(x.masked_fill(beyond[:, None], 0))
        return x.mT
