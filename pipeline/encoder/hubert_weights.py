"""A transformers `HubertModel` made from tensors alone, under the names that transformers gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.torch_file import described

Rules = Sequence[tuple[str, str]]

# The two halves of a weight norm, as PyTorch named them before 2.0 and names them now.
WEIGHT_NORM: Rules = (
    (r"(.+)\.weight_g", r"\1.parametrizations.weight.original0"),
    (r"(.+)\.weight_v", r"\1.parametrizations.weight.original1"),
)
HEAD_WIDTH = 64  # of an attention head in HuBERT base and large
EXTRA_LARGE = 1280  # the width that has 16 heads of 80 instead


def renamed(tensors: Mapping[Any, Any], rules: Rules) -> dict[str, Tensor]:
    """Every tensor under the name that the first rule to match all of its name gives.

    Raises:
        ValueError: no rule matches a name, or its value is not a tensor of floats.
    """
    known, unknown = {}, []
    for name, tensor in tensors.items():
        rule = next((rule for rule in rules if re.fullmatch(rule[0], str(name))), None)
        if rule is None:
            unknown.append(str(name))
            continue
        plain = isinstance(tensor, Tensor) and tensor.layout == torch.strided and not tensor.is_meta
        if not plain or not tensor.is_floating_point():
            raise ValueError(f"expected a tensor of floats as {name}; found {described(tensor)}")
        new = re.sub(rule[0], rule[1], str(name))
        for old, current in WEIGHT_NORM:
            new = re.sub(f"^{old}$", current, new)
        known[new] = tensor.detach()
    if unknown:
        raise ValueError(f"{len(unknown)} tensors are not of a HuBERT: {_some(unknown)}")
    return known


def build_hubert(
    weights: Mapping[str, Tensor],
    heads: int | None = None,
    layer_norm_first: bool | None = None,
    strides: Sequence[int] | None = None,
) -> Any:
    """The `HubertModel` that these weights are of, in float32, ready for inference.

    Its sizes are those of the tensors. Settings that do not follow from shapes may be given; the defaults are those of
    the published models.

    Args:
        weights: every tensor of the model by its name in transformers; `masked_spec_embed` may be missing.
        heads: of attention; else 16 at width 1280, and one for every 64 of any other width.
        layer_norm_first: whether norms come before attention and feed-forward (transformers: stable layer norm); by
            default if every convolution has a layer norm, as in large.
        strides: of the convolutions; else those of HuBERT.

    Raises:
        ValueError: a tensor is missing, is not of this model, or is of another shape.
    """
    from transformers import HubertConfig, HubertModel

    convolutions = _numbered(weights, r"feature_extractor\.conv_layers\.(\d+)\.conv\.weight")
    shapes = [_shape(weights, f"feature_extractor.conv_layers.{i}.conv.weight", 3) for i in range(convolutions)]
    width, per_group, positions = _shape(weights, "encoder.pos_conv_embed.conv.parametrizations.weight.original1", 3)
    norm = "layer" if "feature_extractor.conv_layers.1.layer_norm.weight" in weights else "group"
    if heads is not None and (heads < 1 or width % heads):
        raise ValueError(f"expected attention heads that divide its width of {width}; its settings say {heads}")
    if heads is None and width % HEAD_WIDTH:
        raise ValueError(f"its number of attention heads is not given, and cannot be derived from a width of {width}")
    strides = HubertConfig().conv_stride if strides is None else strides
    if len(strides) != convolutions:
        raise ValueError(f"expected {len(strides)} convolutions in the feature extractor; found {convolutions}")
    config = HubertConfig(
        hidden_size=width,
        num_hidden_layers=_numbered(weights, r"encoder\.layers\.(\d+)\..+"),
        num_attention_heads=heads or (16 if width == EXTRA_LARGE else width // HEAD_WIDTH),
        intermediate_size=_shape(weights, "encoder.layers.0.feed_forward.intermediate_dense.weight", 2)[0],
        conv_dim=[shape[0] for shape in shapes],
        conv_kernel=[shape[2] for shape in shapes],
        conv_stride=list(strides),
        conv_bias="feature_extractor.conv_layers.0.conv.bias" in weights,
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer" if layer_norm_first is None else layer_norm_first,
        num_conv_pos_embeddings=positions,
        num_conv_pos_embedding_groups=width // per_group,
        # Without its tensor masking is off: transformers would initialise it randomly, and the fingerprint would vary.
        mask_time_prob=0.05 if "masked_spec_embed" in weights else 0.0,
    )
    with torch.device("meta"):
        model = HubertModel(config)
    _check(weights, model.state_dict())
    model.load_state_dict({name: tensor.float().clone() for name, tensor in weights.items()}, assign=True)
    return model.eval()


def _check(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    if missing := [name for name in expected if name not in weights]:
        raise ValueError(f"{len(missing)} tensors are missing, in transformers' names: {_some(missing)}")
    if unknown := [name for name in weights if name not in expected]:
        raise ValueError(f"{len(unknown)} tensors are too many, in transformers' names: {_some(unknown)}")
    for name, tensor in expected.items():
        if weights[name].shape != tensor.shape:
            raise ValueError(f"expected {tuple(tensor.shape)} as {name}; found {tuple(weights[name].shape)}")


def _shape(weights: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in weights:
        raise ValueError(f"1 tensor at least is missing, in transformers' names: {name}")
    shape = tuple(weights[name].shape)
    if len(shape) != dimensions or not all(shape):
        raise ValueError(f"expected {dimensions} dimensions of {name}; found {shape}")
    return shape


def _numbered(weights: Mapping[str, Tensor], pattern: str) -> int:
    """How many different numbers there are: not the highest, which could be huge in a broken file."""
    return len({match[1] for name in weights if (match := re.fullmatch(pattern, name))})


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
