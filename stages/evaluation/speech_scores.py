"""Scores of a conversion by models of speech: words, similarity of voice, naturalness."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

NAN = float("nan")


@dataclass(frozen=True)
class WordScore:
    """One recogniser's scores of a result.

    Attributes:
        model: its name.
        cer: character error rate against its transcript of the song, or against the song's words if they are known.
        source_cer: the song's own, against its words; NaN where they are not known.
        text, source_text: its transcripts of the result and of the song.
        language: the one that was given, or detected.
    """

    model: str
    cer: float
    source_cer: float
    text: str
    source_text: str
    language: str | None

    @property
    def bounded_cer(self) -> float:
        """The CER, at most 1; NaN where it is unknown."""
        return float(np.minimum(1.0, self.cer))

    @property
    def letters_right(self) -> float:
        """About how many of 100 letters are understood; NaN where that is unknown."""
        return 100 * (1 - self.bounded_cer)


@dataclass(frozen=True)
class SpeechScores:
    """All models' scores of a result; NaN, and no words, if a model is missing.

    Attributes:
        words: of each recogniser.
        secs: cosine of the result's speaker embedding with the target's mean embedding.
        source_secs: the same of the song.
        own_secs: the same of the target's own recordings, each with the mean of the others: their mean.
        dnsmos, source_dnsmos: naturalness of result and song.
    """

    words: tuple[WordScore, ...] = ()
    secs: float = NAN
    source_secs: float = NAN
    own_secs: float = NAN
    dnsmos: float = NAN
    source_dnsmos: float = NAN

    def of(self, model: str) -> WordScore:
        """One figure of a recogniser; NaN if it is missing."""
        return next((word for word in self.words if word.model == model), WordScore(model, NAN, NAN, "", "", None))

    def to_json(self) -> dict[str, Any]:
        """As a record, in which NaN is null."""
        figures = {name: _rounded(value) for name, value in asdict(self).items() if name != "words"}
        words = [{name: _rounded(value) for name, value in asdict(each).items()} for each in self.words]
        return {"words": words, **figures}


def _rounded(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return None if np.isnan(value) else round(value, 4)
