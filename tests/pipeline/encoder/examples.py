"""Small content encoders of random weights, and their true hidden states: the subjects of test_conformance.py.

A new encoder adds an `Example` to `EXAMPLES`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from svc.pipeline.encoder.whisper import SILENCE_SECONDS
from torch import Tensor, nn
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from .log_spectrum import save_spectrum


def lively(model: nn.Module) -> Any:
    """Norms and biases as trained ones have, not all 1 and 0."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


@dataclass(frozen=True)
class Example:
    """A small encoder: `make(seed)` its model, `truth(model, wav)` all its hidden states of one clip, if known.

    `save` writes the model into a folder. `bounds` are the relative errors that the precisions may cost.
    """

    make: Callable[[int], Any]
    truth: Callable[[Any, Tensor], Sequence[Tensor]] | None
    save: Callable[[Any, Path], object] = lambda model, folder: model.save_pretrained(folder)
    bounds: Mapping[str, float] = field(default_factory=lambda: {"fp32": 1e-5, "bf16": 3e-2, "fp16": 4e-3})


def hubert(kind: str, **other: Any) -> Callable[[int], HubertModel]:
    def make(seed: int) -> HubertModel:
        torch.manual_seed(seed)
        settings = {
            "hidden_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "conv_dim": [64] * len(other.get("conv_kernel", range(7))),
            "num_conv_pos_embeddings": 32,
            "num_conv_pos_embedding_groups": 8,
            "feat_extract_norm": kind,
            "do_stable_layer_norm": kind == "layer",
            "conv_bias": kind == "layer",
        }
        return lively(HubertModel(HubertConfig(**{**settings, **other})))

    return make


def normalized(wav: Tensor) -> Tensor:
    return (wav - wav.mean()) / torch.sqrt(wav.var(correction=0) + 1e-7)


def by_transformers(before: int, after: int | None = None) -> Callable[[Any, Tensor], list[Tensor]]:
    """All hidden states of transformers' own forward pass over the clip with zeros before and after it."""

    def truth(model: Any, wav: Tensor) -> list[Tensor]:
        with torch.inference_mode():
            out = model(
                F.pad(normalized(wav)[None], (before, before if after is None else after)), output_hidden_states=True
            )
        return [state[0] for state in (*out.hidden_states[:-1], out.last_hidden_state)]

    return truth


def of_family(model_class: Any, config_class: Any, kind: str | None, **other: Any) -> Callable[[int], Any]:
    """A small model of the wav2vec 2.0 family."""

    def make(seed: int) -> Any:
        torch.manual_seed(seed)
        norms = {} if kind is None else {"feat_extract_norm": kind, "do_stable_layer_norm": kind == "layer"}
        settings = {
            "hidden_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 96,
            "conv_dim": [48] * 7,
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
            "conv_bias": kind == "layer",
            **norms,
        }
        return lively(model_class(config_class(**{**settings, **other})))

    return make


def whisper(seed: int) -> WhisperModel:
    """A small Whisper with a window of 15 s, whole, as it is published."""
    torch.manual_seed(seed)
    config = WhisperConfig(
        d_model=64,
        encoder_layers=3,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=96,
        decoder_ffn_dim=96,
        max_source_positions=750,
        vocab_size=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
    )
    return lively(WhisperModel(config))


def by_whisper(model: Any, wav: Tensor) -> list[Tensor]:
    """transformers' mel and encoder, on a window as long as ours: the clip and `SILENCE_SECONDS`, or the whole window.

    One hop of zeros goes before the clip and two mel frames are dropped, so that the next is centred at 10 ms.
    """
    window = min(len(wav) // 320 + round(50 * SILENCE_SECONDS), model.config.max_source_positions)
    extractor = WhisperFeatureExtractor(chunk_length=30)
    samples = F.pad(wav, (160, 0)).numpy()
    mel = extractor(samples, sampling_rate=16_000, return_tensors="pt").input_features[..., 2 : 2 + 2 * window]
    encoder = copy.deepcopy(model.encoder)
    encoder.config.max_source_positions = encoder.max_source_positions = window
    encoder.embed_positions = nn.Embedding.from_pretrained(model.encoder.embed_positions.weight[:window])
    with torch.inference_mode():
        out = encoder(mel, output_hidden_states=True)
    states = (*out.hidden_states[:-1], out.last_hidden_state)
    return [state[0, : len(wav) // 320] for state in states]


EXAMPLES = {
    "hubert, group norm": Example(hubert("group"), by_transformers(40)),
    "hubert, layer norm": Example(hubert("layer"), by_transformers(40)),
    "hubert, long first window": Example(
        hubert("layer", conv_kernel=[400, 3, 3], conv_stride=[160, 1, 2], num_hidden_layers=4), by_transformers(360)
    ),
    "hubert, odd receptive field": Example(
        hubert("group", conv_kernel=[11, 3, 3, 3, 3, 2, 2], conv_bias=True), by_transformers(40, 41)
    ),
    "wav2vec 2.0, group norm": Example(of_family(Wav2Vec2Model, Wav2Vec2Config, "group"), by_transformers(40)),
    "wav2vec 2.0, layer norm": Example(of_family(Wav2Vec2Model, Wav2Vec2Config, "layer"), by_transformers(40)),
    "wavlm, group norm": Example(of_family(WavLMModel, WavLMConfig, "group"), by_transformers(40)),
    "wavlm, layer norm": Example(
        of_family(WavLMModel, WavLMConfig, "layer", num_buckets=32, max_bucket_distance=64), by_transformers(40)
    ),
    "data2vec": Example(
        of_family(Data2VecAudioModel, Data2VecAudioConfig, None, num_conv_pos_embeddings=3), by_transformers(40)
    ),
    "whisper": Example(whisper, by_whisper),
    "log spectrum": Example(
        lambda seed: torch.randn(2, 201, 201, generator=torch.Generator().manual_seed(seed)) / 14, None, save_spectrum
    ),
}
