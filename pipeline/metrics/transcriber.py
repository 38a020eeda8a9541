"""Transcripts by Whisper (Radford et al., 2022, arXiv 2212.04356), with weights from the user.

The character error rate between the transcripts of a source and of its conversion is the measure that agrees best with
listeners (SVCC 2023, arXiv 2306.14422: Spearman -0.73 to -0.80).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..audio import resample
from ..checkpoints.hub import ModelError
from ..checkpoints.pretrained import load_pretrained, model_folder
from ..checkpoints.torch_file import reason
from ..frames import CONTENT_RATE

LONGEST_SECONDS = 30.0  # of a phrase: Whisper's window
MOST_TOKENS = 200  # of a phrase's text
PROMPT_TOKENS = 4  # before it: start, language, transcribe, no timestamps

Samples = NDArray[np.float32]


class Transcriber:
    """A Whisper model of any size.

    Args:
        source: a folder in the format of transformers, or a hub id.
        device: such as "cpu". It computes in float32 there, whatever dtype its file has.
        allow_hub: whether it may be downloaded.

    Raises:
        ModelError: there is no Whisper model.
    """

    def __init__(self, source: str, device: str = "cpu", allow_hub: bool = True):
        from transformers import (
            GenerationConfig,
            WhisperConfig,
            WhisperFeatureExtractor,
            WhisperForConditionalGeneration,
            WhisperTokenizer,
        )

        what = "Whisper (such as openai/whisper-small)"
        folder = model_folder(source, what, allow_hub)
        if folder.model_type != "whisper":
            raise ModelError(f"expected a {what}; {source} is a {folder.model_type!r} model")
        self.source, self.device = source, device
        model = load_pretrained(folder, WhisperConfig, WhisperForConditionalGeneration, what, ("proj_out.weight",))
        try:
            self.tokenizer: Any = WhisperTokenizer.from_pretrained(folder.path, local_files_only=True)
            if (folder.path / "generation_config.json").exists():
                model.generation_config = GenerationConfig.from_pretrained(folder.path, local_files_only=True)
        except Exception as error:
            raise ModelError(f"the {what} in {source} cannot be loaded: {reason(error)}") from error
        self.extractor: Any = WhisperFeatureExtractor(feature_size=model.config.num_mel_bins)
        self.model: Any = model.to(device)
        self.multilingual = bool(getattr(self.model.generation_config, "lang_to_id", None))

    @property
    def name(self) -> str:
        """The last part of its folder or hub id, such as `whisper-base`."""
        return PurePath(self.source).name

    def language(self, phrases: Sequence[Samples], rate: int) -> str | None:
        """The language, such as `ko`, that it detects in most phrases (T,); None of a model of one language."""
        if not self.multilingual or not phrases:
            return None
        names = {number: name.strip("<|>") for name, number in self.model.generation_config.lang_to_id.items()}
        with torch.inference_mode():
            found = [int(self.model.detect_language(input_features=self._features(wav, rate))[0]) for wav in phrases]
        return names[Counter(found).most_common(1)[0][0]]

    def __call__(self, phrases: Sequence[Samples], rate: int, language: str | None = None) -> str:
        """The words of phrases, float32 (T,) at `rate` Hz, of LONGEST_SECONDS at most (the rest is cut off)."""
        most = min(MOST_TOKENS, self.model.config.max_target_positions - PROMPT_TOKENS)
        options = {"language": language, "task": "transcribe"} if self.multilingual else {}
        texts = []
        for wav in phrases:
            with torch.inference_mode():
                tokens = self.model.generate(self._features(wav, rate), max_new_tokens=most, **options)
            texts.append(self.tokenizer.batch_decode(tokens, skip_special_tokens=True)[0].strip())
        return " ".join(texts)

    def _features(self, wav: Samples, rate: int) -> Any:
        signal = resample(wav, rate, CONTENT_RATE)
        return self.extractor(signal, sampling_rate=CONTENT_RATE, return_tensors="pt").input_features.to(self.device)


def letters(text: str) -> str:
    """The letters, marks and digits of a text in one form (Unicode's NFKC, case folded), without spaces and signs."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LNM")


def character_error_rate(hypothesis: str, reference: str) -> float:
    """Levenshtein distance of the letters over the number of the reference's; NaN where it has none.

    It exceeds 1 if many letters are inserted.
    """
    from rapidfuzz.distance import Levenshtein

    expected = letters(reference)
    return Levenshtein.distance(letters(hypothesis), expected) / len(expected) if expected else float("nan")
