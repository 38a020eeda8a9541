"""HuBERT and ContentVec as fairseq saved them: `hubert_base_ls960.pt`, `checkpoint_best_legacy_500.pt` and their like.

A checkpoint is a dict: `model` holds the tensors under fairseq's names (Ott et al., 2019, arXiv 1904.01038), `cfg` the
settings of training as an OmegaConf tree, or `args` in an argparse namespace before fairseq had that. fairseq itself
is not needed: sizes are read from the tensors, and the few settings that no shape gives from the pickled tree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from ..checkpoints.pickles import Inert
from .hubert_weights import Rules, build_hubert, renamed

T = TypeVar("T")

FIRST_TENSOR = "feature_extractor.conv_layers.0.0.weight"

# The heads of pretraining: predictions of k-means codes, which an encoder does not use.
PRETRAINING = ("final_proj.weight", "final_proj.bias", "label_embs_concat")

RULES: Rules = (
    (r"mask_emb", "masked_spec_embed"),
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.(weight|bias)", r"feature_extractor.conv_layers.\1.conv.\2"),
    # extractor_mode "default": a group norm after the first convolution
    (r"feature_extractor\.conv_layers\.0\.2\.(weight|bias)", r"feature_extractor.conv_layers.0.layer_norm.\1"),
    # extractor_mode "layer_norm": one after each, between two transpositions
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.1\.(weight|bias)", r"feature_extractor.conv_layers.\1.layer_norm.\2"),
    (r"layer_norm\.(weight|bias)", r"feature_projection.layer_norm.\1"),
    (r"post_extract_proj\.(weight|bias)", r"feature_projection.projection.\1"),
    (r"encoder\.pos_conv\.0\.(.+)", r"encoder.pos_conv_embed.conv.\1"),
    (r"encoder\.layer_norm\.(weight|bias)", r"encoder.layer_norm.\1"),
    (r"encoder\.layers\.(\d+)\.self_attn\.([kvq]_proj|out_proj)\.(.+)", r"encoder.layers.\1.attention.\2.\3"),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.(.+)", r"encoder.layers.\1.layer_norm.\2"),
    (r"encoder\.layers\.(\d+)\.fc1\.(.+)", r"encoder.layers.\1.feed_forward.intermediate_dense.\2"),
    (r"encoder\.layers\.(\d+)\.fc2\.(.+)", r"encoder.layers.\1.feed_forward.output_dense.\2"),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.(.+)", r"encoder.layers.\1.final_layer_norm.\2"),
)


def is_fairseq(found: Any) -> bool:
    """Whether a checkpoint is fairseq's, of a model whose input is a waveform."""
    return isinstance(found, dict) and isinstance(found.get("model"), dict) and FIRST_TENSOR in found["model"]


def read_fairseq(found: dict[str, Any]) -> tuple[Any, bool]:
    """The `HubertModel`, and whether its input is normalised. Raises ValueError if it is no HuBERT, or incomplete."""
    tensors = {name: tensor for name, tensor in found["model"].items() if name not in PRETRAINING}
    convolutions = _told(found, "model", "conv_feature_layers", str)
    model = build_hubert(
        renamed(tensors, RULES),
        heads=_told(found, "model", "encoder_attention_heads", int),
        layer_norm_first=_told(found, "model", "layer_norm_first", bool),
        strides=None if convolutions is None else _strides(convolutions),
    )
    normalize = _told(found, "task", "normalize", bool)
    return model, model.config.feat_extract_norm == "layer" if normalize is None else normalize


def _told(found: Mapping[str, Any], section: str, setting: str, kind: type[T]) -> T | None:
    """`cfg.section.setting`, or `args.setting` of older files; None where it is missing, or of another type."""
    for tree in (found.get("cfg"), found.get("args")):
        for holder in (_settings(tree).get(section), tree):
            value = _settings(holder).get(setting)
            if isinstance(value, Inert) and isinstance(value.state, dict):
                value = value.state.get("_val")  # a node of OmegaConf
            if type(value) is kind:
                return value
    return None


def _settings(holder: Any) -> Mapping[str, Any]:
    """The content of a dict, a namespace or an OmegaConf container."""
    state = holder.state if isinstance(holder, Inert) else holder
    if isinstance(holder, Inert) and isinstance(state, dict) and "_content" in state:
        state = state["_content"]
    return state if isinstance(state, dict) else {}


def _strides(layers: str) -> list[int]:
    """`[(512, 10, 5)] + [(512, 3, 2)] * 4` -> [5, 2, 2, 2, 2]. fairseq evaluates such a text as Python; here it is
    parsed.
    """
    strides = []
    for block, times in re.findall(r"\[([^]]*)\](?:\s*\*\s*(\d{1,2}))?", layers):
        strides += [int(stride) for stride in re.findall(r"\d+\s*,\s*\d+\s*,\s*(\d+)", block)] * int(times or 1)
    return strides
