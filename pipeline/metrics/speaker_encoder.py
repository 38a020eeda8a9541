"""Who is heard: an x-vector of a speaker network (Snyder et al., 2018), with weights that the user brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..audio import resample
from ..checkpoints.hub import ModelError, fetch
from ..frames import CONTENT_RATE

Samples = NDArray[np.float32]


class SpeakerEncoder:
    """Any x-vector model of transformers: WavLM, wav2vec 2.0, UniSpeech-SAT or data2vec with an XVector head.

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
        self.model: Any = fetch(AutoModelForAudioXVector.from_pretrained, source, what).to(device).eval()

    def __call__(self, phrases: Sequence[Samples], rate: int) -> NDArray[np.float64]:
        """The mean direction of the embeddings of phrases (T,) at `rate` Hz: (D,), of length 1."""
        found = []
        for wav in phrases:
            signal = resample(wav, rate, CONTENT_RATE)
            inputs = self.features(signal, sampling_rate=CONTENT_RATE, return_tensors="pt").input_values.to(self.device)
            with torch.inference_mode():
                found.append(self.model(inputs).embeddings[0].double().cpu().numpy())
        total = np.sum([embedding / np.linalg.norm(embedding) for embedding in found], axis=0)
        return np.asarray(total / np.linalg.norm(total), np.float64)
