"""The figures of converted songs: as tables, as means over songs, and as a section of the report each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from ...pipeline.metrics.audio_features import Samples
from ...pipeline.metrics.phone_agreement import PhoneAgreement
from ..page import Table
from .page import Section
from .result import plain
from .scores import shown
from .speech_scores import SpeechScores

TABLES = {  # caption: heading of each figure
    "Melody and loudness": {
        "in_tune": "in tune", "cents": "f0 cents", "gpe50": "GPE50", "vuv_f1": "V/UV", "loudness": "loudness",
    },
    "Voice": {
        "target_share": "target voice", "source_share": "source voice", "secs": "SECS", "source_secs": "song's SECS",
        "own_secs": "target's SECS", "variance_ratio": "variance", "spectrum_db": "spectrum dB",
        "source_spectrum_db": "song's spectrum dB",
    },
    "Words and naturalness": {
        "phones": "phones kept", "phones_copied": "vocoder alone", "phones_chance": "by chance",
        "dnsmos": "DNSMOS", "source_dnsmos": "song's DNSMOS",
    },
}  # fmt: skip


@dataclass(frozen=True)
class SourceScores:
    """A conversion beside its song and the target's own utterances.

    Attributes:
        cents, gpe50, vuv_f1, in_tune: the result's f0 beside the song's in the key asked for, both tracked
            (pipeline.metrics.conversion.Pitch).
        loudness: correlation with the song's.
        target_share, source_share: shares of half seconds that a classifier, trained on the run's speakers and the
            song, takes for the target and for the song's own singer.
        variance_ratio: variance of mel cepstra over that of the target's own utterances; under 1 is over-smoothed.
        spectrum_db, source_spectrum_db: distance of the mean spectrum from the target's, of result and song.
    """

    cents: float
    gpe50: float
    vuv_f1: float
    in_tune: float
    loudness: float
    target_share: float
    source_share: float
    variance_ratio: float
    spectrum_db: float
    source_spectrum_db: float


@dataclass(frozen=True)
class SongResult:
    """A song that was converted, and all figures of it."""

    name: str
    key: float
    source: Samples
    result: Samples
    picture: bytes
    scores: SourceScores
    phones: PhoneAgreement
    speech: SpeechScores

    def figures(self) -> dict[str, float]:
        """Those of `scores` and `phones`, by name."""
        return {**asdict(self.scores), **asdict(self.phones)}


def song_tables(done: Sequence[SongResult]) -> list[Table]:
    """Three tables with a row a song, without the columns of models that are missing."""
    out = []
    for caption, columns in TABLES.items():
        rows = [[each.name] for each in done]
        headings = ["song"]
        if caption.startswith("Melody"):
            headings.append("key")
            for row, each in zip(rows, done, strict=True):
                row.append(f"{each.key:+g}")
        if caption.startswith("Words"):
            known = any(not np.isnan(word.source_cer) for each in done for word in each.speech.words)
            for model in dict.fromkeys(word.model for each in done for word in each.speech.words):
                headings += [
                    f"letters right ({model})",
                    f"CER ({model})",
                    *([f"song's CER ({model})"] if known else []),
                ]
                for row, each in zip(rows, done, strict=True):
                    score = each.speech.of(model)
                    row += ["" if np.isnan(score.cer) else f"{score.letters_right:.0f}", shown(score.cer)]
                    row += [shown(score.source_cer)] if known else []
        for name, heading in columns.items():
            values = [{**each.figures(), **_speech_figures(each.speech)}[name] for each in done]
            if not np.isnan(values).all():
                headings.append(heading)
                for row, value in zip(rows, values, strict=True):
                    row.append(shown(value))
        out.append(Table(caption, headings, rows))
    return out


def listed(done: Sequence[SongResult]) -> str:
    """Names of the songs; of more than three the first three and how many more."""
    names = [each.name for each in done[:3]]
    return ", ".join(names) if len(done) <= 3 else f"{', '.join(names)} and {len(done) - 3} more"


def section(song: SongResult, target: str) -> Section:
    """A song's part of the report: players, picture and transcripts."""
    said = [
        f"{word.model}, of the {kind}: {text}"
        for word in song.speech.words
        for kind, text in (("song", word.source_text), ("result", word.text))
    ]
    return Section(song.name, {"the song": song.source, f"as {target}": song.result}, song.picture, said)


def song_record(song: SongResult) -> dict[str, Any]:
    """All figures of a song as JSON values, in which NaN is null."""
    return {**plain({"key": song.key, **song.figures()}), **song.speech.to_json()}


def _speech_figures(speech: SpeechScores) -> dict[str, float]:
    return {field.name: getattr(speech, field.name) for field in fields(speech) if field.name != "words"}


def means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over the rows that have it; NaN where none has."""
    out = {}
    for name in rows[0]:
        known = [row[name] for row in rows if not np.isnan(row[name])]
        out[name] = float(np.mean(known)) if known else float("nan")
    return out


def mean_speech(done: Sequence[SongResult]) -> SpeechScores:
    """The means over songs; a song's CER counts as 1 where it is more."""
    words = []
    for model in dict.fromkeys(word.model for each in done for word in each.speech.words):
        found = [each.speech.of(model) for each in done]
        rates = [score.bounded_cer for score in found if not np.isnan(score.cer)]
        words.append(replace(found[0], cer=float(np.mean(rates)) if rates else float("nan")))
    return SpeechScores(tuple(words), **means([_speech_figures(each.speech) for each in done]))
