"""wav2vec 2.0 (Baevski et al., 2020, arXiv 2006.11477), and XLS-R and MMS, which have its form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..checkpoints.config_fields import Check
from .waveform_transformer import ADAPTER_FIELDS, WaveformEncoder


class Wav2Vec2(WaveformEncoder):
    """A wav2vec 2.0 of any size."""

    model_type = "wav2vec2"
    fields: ClassVar[Mapping[str, Check]] = {**WaveformEncoder.fields, **ADAPTER_FIELDS}
    prefixes: ClassVar[tuple[str, ...]] = ("wav2vec2.",)

    @classmethod
    def classes(cls) -> tuple[type[Any], type[Any]]:
        from transformers import Wav2Vec2Config, Wav2Vec2Model

        return Wav2Vec2Config, Wav2Vec2Model
