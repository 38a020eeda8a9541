"""Small random HuBERTs, and writers of their checkpoints: the inverse of what is read."""

import functools
import re
from pathlib import Path
from typing import Any

import torch
from svc.pipeline.encoder.hubert import Hubert
from svc.pipeline.encoder.registry import load_encoder as load_any_encoder
from torch import Tensor, nn
from transformers import HubertConfig, HubertModel

WIDTH, HEADS, SOFT_WIDTH, UNIT_DIM, CODES = 96, 4, 128, 40, 20
CONVOLUTIONS = "[(64, 10, 5)] + [(64,3,2)] * 4 + [(64,2,2)] * 2"
# name: (norm of the convolutions, whether norms come first)
KINDS = {"base": ("group", False), "large": ("layer", True), "neither": ("group", True), "nor": ("layer", False)}


@functools.cache
def make(kind: str = "base", width: int = WIDTH, heads: int = HEADS, **other: Any) -> HubertModel:
    torch.manual_seed(3)
    norm, first = KINDS[kind]
    config = HubertConfig(
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=heads,
        intermediate_size=80,
        conv_dim=[64] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=8,
        feat_extract_norm=norm,
        do_stable_layer_norm=first,
        conv_bias=norm == "layer",
        **other,
    )
    return with_lively_norms(HubertModel(config))


def load_encoder(name: str) -> Hubert:
    found = load_any_encoder(name)
    assert isinstance(found, Hubert)
    return found


def with_lively_norms(model: nn.Module) -> Any:
    """Make all tensors different, so that a test notices if two are exchanged."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def wave(seconds: float = 0.4) -> Tensor:
    return 0.1 * torch.randn(1, round(16_000 * seconds), generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def states(model: Any) -> list[Tensor]:
    out = model(wave(), output_hidden_states=True)
    return [*out.hidden_states[:-1], out.last_hidden_state]


def assert_same(model: Any, truth: HubertModel) -> None:
    """The same weights in the same order, so of the same fingerprint, and the same hidden states."""
    weights, true = model.state_dict(), truth.state_dict()
    assert list(weights) == list(true)
    assert all(weights[name].dtype == torch.float32 and torch.equal(weights[name], true[name]) for name in true)
    for got, expected in zip(states(model), states(truth), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def in_fairseq_names(model: HubertModel) -> dict[str, Tensor]:
    norm = "2" if model.config.feat_extract_norm == "group" else "2.1"
    names = (
        (r"(feature_extractor.conv_layers.\d+).conv", r"\1.0"),
        (r"(feature_extractor.conv_layers.\d+).layer_norm", rf"\1.{norm}"),
        (r"feature_projection.layer_norm", "layer_norm"),
        (r"feature_projection.projection", "post_extract_proj"),
        (r"masked_spec_embed", "mask_emb"),
        (r"encoder.pos_conv_embed.conv", "encoder.pos_conv.0"),
        (r"parametrizations.weight.original0", "weight_g"),
        (r"parametrizations.weight.original1", "weight_v"),
        (r"(encoder.layers.\d+).layer_norm", r"\1.self_attn_layer_norm"),
        (r"attention\.", "self_attn."),
        (r"feed_forward.intermediate_dense", "fc1"),
        (r"feed_forward.output_dense", "fc2"),
    )
    renamed = {}
    for name, tensor in model.state_dict().items():
        for ours, fairseqs in names:
            name = re.sub(ours, fairseqs, name)
        renamed[name] = tensor.clone()
    pretraining = {"final_proj.weight": torch.ones(4, WIDTH), "label_embs_concat": torch.ones(9, 4)}
    return {**renamed, **pretraining, "final_proj.bias": torch.ones(4)}


def settings_of(model: HubertModel, **task: Any) -> dict[str, Any]:
    told = {"encoder_attention_heads": model.config.num_attention_heads, "conv_feature_layers": CONVOLUTIONS}
    return {"model": {**told, "layer_norm_first": model.config.do_stable_layer_norm}, "task": task}


def write(path: Path, found: Any, legacy: bool = False) -> str:
    torch.save(found, path, _use_new_zipfile_serialization=not legacy)
    return str(path)


def write_fairseq(path: Path, model: HubertModel, legacy: bool = False, /, **changed: Any) -> str:
    found = {"cfg": settings_of(model), "args": None, "model": in_fairseq_names(model)}
    return write(path, {**found, **changed}, legacy)
