"""HuBERT (Hsu et al., 2021, arXiv 2106.07447): from transformers, fairseq, ContentVec and bshall/hubert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ..checkpoints.config_fields import Check, flag
from .fairseq import is_fairseq, read_fairseq
from .hubert_soft import is_hubert_soft, read_hubert_soft
from .network import EncoderSettings
from .waveform_transformer import ADAPTER_FIELDS, WaveformEncoder


class Hubert(WaveformEncoder):
    """A HuBERT of any size."""

    model_type = "hubert"
    short_names: ClassVar[Mapping[str, str]] = {
        "en": "facebook/hubert-base-ls960",
        "en-large": "facebook/hubert-large-ll60k",
        "ko": "team-lucid/hubert-base-korean",
        "ja": "rinna/japanese-hubert-base",
        "zh": "TencentGameMate/chinese-hubert-base",
        "contentvec": "lengyue233/content-vec-best",
        "hubert-soft": "https://github.com/bshall/hubert/releases/download/v0.1/hubert-soft-0d54a1f4.pt",
        "mini": "svc.data/mini",
    }
    # A batch norm before the positional convolution is not supported; no published HuBERT for encoding has one.
    fields: ClassVar[Mapping[str, Check]] = {
        **WaveformEncoder.fields,
        **ADAPTER_FIELDS,
        "feat_proj_layer_norm": flag,
        "conv_pos_batch_norm": lambda value: "" if value is False else "false, since a batch norm is not supported",
    }
    prefixes: ClassVar[tuple[str, ...]] = ("hubert.",)

    @classmethod
    def classes(cls) -> tuple[type[Any], type[Any]]:
        from transformers import HubertConfig, HubertModel

        return HubertConfig, HubertModel

    @classmethod
    def from_checkpoint(cls, found: Any, settings: EncoderSettings) -> Self | None:
        if is_fairseq(found):
            model, normalize = read_fairseq(found)
            return cls(model, normalize, settings)
        if is_hubert_soft(found):
            model, head = read_hubert_soft(found)
            return cls(model, False, settings, head)
        return None
