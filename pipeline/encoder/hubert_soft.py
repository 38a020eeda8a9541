"""HuBERT-soft and HuBERT-discrete as bshall/hubert released them (van Niekerk et al., 2022, arXiv 2111.02392).

A checkpoint is a bare state dict, each name after `module.` (v0.1), or such a dict under `hubert` (v0.2). Beside the
encoder it holds the linear layer whose output is the soft units, and the code embeddings of its training.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..projection import SoftHead
from .hubert_weights import Rules, build_hubert, renamed

FIRST_TENSOR = "feature_extractor.conv0.weight"
HEAD = ("proj.weight", "proj.bias", "label_embedding.weight")

RULES: Rules = (
    (r"masked_spec_embed", "masked_spec_embed"),
    (r"feature_extractor\.conv(\d+)\.weight", r"feature_extractor.conv_layers.\1.conv.weight"),
    (r"feature_extractor\.norm0\.(weight|bias)", r"feature_extractor.conv_layers.0.layer_norm.\1"),
    (r"feature_projection\.norm\.(weight|bias)", r"feature_projection.layer_norm.\1"),
    (r"feature_projection\.projection\.(weight|bias)", r"feature_projection.projection.\1"),
    (r"positional_embedding\.conv\.(.+)", r"encoder.pos_conv_embed.conv.\1"),
    (r"norm\.(weight|bias)", r"encoder.layer_norm.\1"),
    (r"encoder\.layers\.(\d+)\.self_attn\.([kvq]_proj|out_proj)\.(.+)", r"encoder.layers.\1.attention.\2.\3"),
    (r"encoder\.layers\.(\d+)\.norm1\.(.+)", r"encoder.layers.\1.layer_norm.\2"),
    (r"encoder\.layers\.(\d+)\.linear1\.(.+)", r"encoder.layers.\1.feed_forward.intermediate_dense.\2"),
    (r"encoder\.layers\.(\d+)\.linear2\.(.+)", r"encoder.layers.\1.feed_forward.output_dense.\2"),
    (r"encoder\.layers\.(\d+)\.norm2\.(.+)", r"encoder.layers.\1.final_layer_norm.\2"),
)


def is_hubert_soft(found: Any) -> bool:
    """Whether a checkpoint has the names of bshall/hubert."""
    return FIRST_TENSOR in _state(found)


def read_hubert_soft(found: Any) -> tuple[Any, SoftHead | None]:
    """The `HubertModel`, whose input is not normalised, and its head if both parts of one are there.

    Raises:
        ValueError: a tensor is missing, is not of this model, or is of another shape.
    """
    tensors = _split_attention(_state(found))
    head = {name: tensors.pop(name) for name in HEAD if name in tensors}
    model = build_hubert(renamed(tensors, RULES), layer_norm_first=False)
    if len(head) < len(HEAD):
        return model, None
    floats = renamed(head, [(r"(.+)", r"\1")])
    return model, SoftHead.of(*(floats[name] for name in HEAD))


def _state(found: Any) -> dict[str, Any]:
    state = found.get("hubert", found) if isinstance(found, dict) else {}
    if not isinstance(state, dict):
        return {}
    return {str(name).removeprefix("module."): value for name, value in state.items()}


def _split_attention(state: dict[str, Any]) -> dict[str, Any]:
    """PyTorch's attention keeps query, key and value in one tensor, in that order."""
    tensors = {}
    for name, tensor in state.items():
        stem, _, part = name.rpartition(".in_proj_")
        if not stem or not isinstance(tensor, Tensor):
            tensors[name] = tensor
            continue
        if tensor.shape[:1].numel() % 3:
            raise ValueError(f"expected query, key and value in {name}; found {tuple(tensor.shape)}")
        for letter, third in zip("qkv", tensor.chunk(3), strict=True):
            tensors[f"{stem}.{letter}_proj.{part}"] = third
    return tensors
