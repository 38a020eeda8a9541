"""The content encoder and the units, as one module that ONNX can express: a whole clip at a time, without padding."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ...common.errors import UserError
from ..encoder.content import ContentEncoder
from ..encoder.waveform_transformer import WaveformEncoder, WaveformTransformer, first


class ContentUnits(nn.Module):
    """Hidden states and units of one clip: float32 (1, T) at 16 kHz, T >= 320 -> float32 (1, T // 320, hidden_size) and
    (1, T // 320, unit_dim).

    The transformers modules compute it, since the encoder's own forward folds norms in float64 and looks at its data.
    Hidden states are rounded to float16, as a store keeps them and a render computes them.

    Args:
        encoder: of the wav2vec 2.0 family: HuBERT, wav2vec 2.0, WavLM, data2vec-audio.
        layer: the layer that units are made of, 1 or more.
        projection: makes units of hidden states.

    Raises:
        UserError: the encoder is of another kind.
    """

    def __init__(self, encoder: ContentEncoder, layer: int, projection: nn.Module):
        super().__init__()
        network = encoder.network(torch.device("cpu"), torch.float32)
        if not isinstance(encoder, WaveformEncoder) or not isinstance(network, WaveformTransformer):
            raise UserError(
                f"the encoder {encoder.name} is a {encoder.model_type}, which cannot be exported: HuBERT, wav2vec 2.0, "
                f"WavLM and data2vec-audio can"
            )
        self.network, self.layer = network, layer
        self.normalize, self.padding = encoder.normalize, encoder.padding
        model = encoder.model
        self.convolutions = model.feature_extractor
        self.feature_projection = model.feature_projection
        self.position = without_weight_norm(model.encoder.pos_conv_embed)
        self.norm = model.encoder.layer_norm
        self.layers = network.layers[:layer]
        self.projection = projection

    def forward(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        """Waveform (1, T) at 16 kHz -> hidden states (1, T // 320, D) and units (1, T // 320, unit_dim), float32."""
        if self.normalize:
            centred = wav - wav.mean(1, keepdim=True)
            wav = centred / torch.sqrt(centred.square().mean(1, keepdim=True) + 1e-7)
        x = self.convolutions(F.pad(wav, self.padding)).transpose(1, 2)
        x = first(self.feature_projection(x))
        x = x + self.position(x)
        if not self.network.norm_is_last:
            x = self.norm(x)
        for x in self.network.transformed(x, None, self.layer):  # noqa: B007, B020 - the last one is what is wanted
            pass
        if self.network.norm_is_last and self.layer == len(self.network.layers):
            x = self.norm(x)
        hidden = x.half().float()
        # Add 0: if units are the hidden states themselves, an output must not have another's name.
        return hidden, self.projection(hidden) + 0.0


def without_weight_norm(module: nn.Module) -> nn.Module:
    """A copy of a module whose weight-normed weights are computed once."""
    module = copy.deepcopy(module)
    for part in module.modules():
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight")
    return module
