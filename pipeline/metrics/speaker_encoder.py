"""Speaker embeddings, and the similarity of two voices by them.

SECS, the speaker embedding cosine similarity, is the cosine of a result's embedding with the mean embedding of the
target's own recordings. Values of different encoders cannot be compared with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..audio import resample
from ..checkpoints.hub import ModelError
from ..checkpoints.pretrained import load_pretrained, model_folder
from ..frames import CONTENT_RATE
from .ge2e import GE2E

Samples = NDArray[np.float32]
Embedding = NDArray[np.float64]  # (D,), of length 1


ARCHITECTURES = (
    "WavLMForXVector",
    "Wav2Vec2ForXVector",
    "Wav2Vec2ConformerForXVector",
    "UniSpeechSatForXVector",
    "Data2VecAudioForXVector",
)
MAY_LACK = tuple(f"{kind}.masked_spec_embed" for kind in ("wavlm", "wav2vec2", "unispeech_sat", "data2vec_audio"))


class SpeakerEncoder(Protocol):
    """Computes embeddings of voices: `source` is its name for people."""

    source: str

    def embed(self, wav: Samples, rate: int) -> Embedding:
        """The embedding of one utterance, float32 (T,) at `rate` Hz: (D,), of length 1."""


class XVector:
    """An x-vector network (Snyder et al., 2018): WavLM, wav2vec 2.0, UniSpeech-SAT or data2vec with an XVector head.

    Args:
        source: a folder in the format of transformers, or a hub id.
        device: such as "cpu". It computes in float32 there, whatever dtype its file has.
        allow_hub: whether it may be downloaded.

    Raises:
        ModelError: there is no such model.
    """

    def __init__(self, source: str, device: str = "cpu", allow_hub: bool = True):
        import transformers

        what = "speaker encoder with an x-vector head (such as microsoft/wavlm-base-plus-sv)"
        folder = model_folder(source, what, allow_hub)
        found = folder.config.get("architectures")
        names = [str(name) for name in found] if isinstance(found, list) else []
        known = [name for name in names if name in ARCHITECTURES]
        if not known:
            raise ModelError(f"expected a {what}; {source} is a {', '.join(names) or folder.model_type or '?'}")
        model_class = getattr(transformers, known[0])
        self.source, self.device = source, device
        normalize = bool(folder.settings("preprocessor_config.json").get("do_normalize", True))
        self.features: Any = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize)
        self.model: Any = load_pretrained(folder, model_class.config_class, model_class, what, MAY_LACK).to(device)

    def embed(self, wav: Samples, rate: int) -> Embedding:
        """The embedding of one utterance, float32 (T,) at `rate` Hz: (D,), of length 1."""
        signal = resample(wav, rate, CONTENT_RATE)
        inputs = self.features(signal, sampling_rate=CONTENT_RATE, return_tensors="pt").input_values.to(self.device)
        with torch.inference_mode():
            found = self.model(inputs).embeddings[0].double().cpu().numpy()
        return np.asarray(found / np.linalg.norm(found))


def load_speaker_encoder(source: str | None = None, device: str = "cpu") -> SpeakerEncoder:
    """A speaker encoder.

    Args:
        source: a folder or hub id of an x-vector model, a `.pt` with Resemblyzer's weights, or None for the weights of
            the installed package Resemblyzer.

    Raises:
        SvcError: it is not there.
    """
    if source is None or source.endswith(".pt"):
        return GE2E(None if source is None else Path(source), device)
    return XVector(source, device)


def mean_embedding(encoder: SpeakerEncoder, phrases: Sequence[Samples], rate: int) -> Embedding:
    """The mean direction of the embeddings of utterances (T,) at `rate` Hz, at least one: (D,), of length 1."""
    total = np.sum([encoder.embed(wav, rate) for wav in phrases], axis=0)
    return np.asarray(total / np.linalg.norm(total), np.float64)
