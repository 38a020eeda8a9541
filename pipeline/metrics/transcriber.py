"""What is heard as words: Whisper (Radford et al., 2022, arXiv 2212.04356), with weights that the user brings.

The share of letters that it hears otherwise than in the source is the best predictor of what listeners say of a
conversion (SVCC 2023: Spearman -0.73 to -0.80).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..audio import resample
from ..checkpoints.hub import ModelError, fetch
from ..frames import CONTENT_RATE

MOST_TOKENS = 200  # of a phrase
PROMPT_TOKENS = 4  # that say: begin, the language, transcribe, no timestamps

Samples = NDArray[np.float32]


class Transcriber:
    """A Whisper of any size, writing down what it hears.

    Raises:
        ModelError: there is none in that folder, or under that hub id.
    """

    def __init__(self, source: str, device: str = "cpu"):
        from transformers import AutoConfig, WhisperForConditionalGeneration, WhisperProcessor

        what = "Whisper (such as openai/whisper-small)"
        kind = fetch(AutoConfig.from_pretrained, source, what).model_type
        if kind != "whisper":
            raise ModelError(f"a {what} is expected, and {source} is a {kind!r} model")
        self.source, self.device = source, device
        self.processor: Any = fetch(WhisperProcessor.from_pretrained, source, what)
        self.model: Any = fetch(WhisperForConditionalGeneration.from_pretrained, source, what).to(device).eval()
        self.multilingual = bool(getattr(self.model.generation_config, "lang_to_id", None))

    def language(self, phrases: Sequence[Samples], rate: int) -> str | None:
        """The language, such as `ko`, that most of these phrases (T,) seem to be in; None if it knows one alone."""
        if not self.multilingual or not phrases:
            return None
        names = {number: name.strip("<|>") for name, number in self.model.generation_config.lang_to_id.items()}
        with torch.inference_mode():
            heard = [int(self.model.detect_language(input_features=self._heard(wav, rate))[0]) for wav in phrases]
        return names[Counter(heard).most_common(1)[0][0]]

    def __call__(self, phrases: Sequence[Samples], rate: int, language: str | None = None) -> str:
        """The words of phrases (T,), under 30 s each, at `rate` Hz."""
        most = min(MOST_TOKENS, self.model.config.max_target_positions - PROMPT_TOKENS)
        options = {"language": language, "task": "transcribe"} if self.multilingual else {}
        said = []
        for wav in phrases:
            with torch.inference_mode():
                tokens = self.model.generate(self._heard(wav, rate), max_new_tokens=most, **options)
            said.append(self.processor.batch_decode(tokens, skip_special_tokens=True)[0].strip())
        return " ".join(said)

    def _heard(self, wav: Samples, rate: int) -> Any:
        signal = resample(wav, rate, CONTENT_RATE)
        return self.processor(signal, sampling_rate=CONTENT_RATE, return_tensors="pt").input_features.to(self.device)


def letters(text: str) -> str:
    """Letters and digits alone, in one form (Unicode's NFKC, case folded): what spacing and commas are is no matter."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LNM")


def character_errors(heard: str, truth: str) -> float:
    """Share of the truth's letters that were heard otherwise, left out or put in (Levenshtein); NaN if it has none."""
    from rapidfuzz.distance import Levenshtein

    expected = letters(truth)
    return Levenshtein.distance(letters(heard), expected) / len(expected) if expected else float("nan")
