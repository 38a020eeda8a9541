"""Speaker embeddings, and how alike two voices are by them.

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
from ..checkpoints.hub import ModelError, fetch
from ..frames import CONTENT_RATE
from .ge2e import GE2E

Samples = NDArray[np.float32]
Embedding = NDArray[np.float64]  # (D,), of length 1


class SpeakerEncoder(Protocol):
    """What embeds a voice: `source` is its name for people."""

    source: str

    def embed(self, wav: Samples, rate: int) -> Embedding:
        """The embedding of one utterance, float32 (T,) at `rate` Hz: (D,), of length 1."""


class XVector:
    """An x-vector network (Snyder et al., 2018): WavLM, wav2vec 2.0, UniSpeech-SAT or data2vec with an XVector head.

    Raises:
        ModelError: there is none in that folder, or under that hub id.
    """

    def __init__(self, source: str, device: str = "cpu"):
        from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForAudioXVector

        what = "speaker encoder with an x-vector head (such as microsoft/wavlm-base-plus-sv)"
        config = fetch(AutoConfig.from_pretrained, source, what)
        if not any(name.endswith("ForXVector") for name in config.architectures or ()):
            raise ModelError(f"a {what} is expected, and {source} is a {', '.join(config.architectures or ['?'])}")
        self.source, self.device = source, device
        self.features: Any = fetch(AutoFeatureExtractor.from_pretrained, source, what)
        model: Any = fetch(AutoModelForAudioXVector.from_pretrained, source, what)
        self.model: Any = model.to(device, torch.float32).eval()  # some are stored in half precision

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
