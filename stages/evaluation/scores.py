"""A conversion of parallel singers beside the true result: its measures, the gates, and systems without training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cached_property

import numpy as np

from ...data.singers import Score, sing
from ...pipeline.metrics import conversion
from ...pipeline.metrics.audio_features import AudioFeatures, Samples
from ...pipeline.metrics.baselines import NearestFrames, equalised
from ...pipeline.metrics.classifiers import PhoneClassifier, SpeakerClassifier
from ...pipeline.vocoder.pulse_noise import PulseNoise
from ..page import Table
from ..parallel_singers import ParallelSingers
from .oracle import Oracle


@dataclass(frozen=True)
class Scores:
    """The measures of one system on one song, or their means.

    Attributes:
        mcd, cr, ctr, gv: pipeline.metrics.conversion.Timbre.
        spk_source, spk_target: shares of half seconds that a classifier takes for the source and for the target.
        phones: share of the frames whose true phone a classifier predicts.
        cents, gpe50, vuv_f1, in_tune: pipeline.metrics.conversion.Pitch, against the true f0.
        loudness: correlation with the true result's.
    """

    mcd: float
    cr: float
    ctr: float
    spk_source: float
    spk_target: float
    phones: float
    gv: float
    cents: float
    gpe50: float
    vuv_f1: float
    in_tune: float
    loudness: float

    @classmethod
    def mean(cls, rows: list[Scores]) -> Scores:
        """The mean of each measure, NaN left out."""
        return cls(*(float(np.nanmean([getattr(row, field.name) for row in rows])) for field in fields(cls)))


ORACLE = "oracle: true phones"
HEADINGS = {
    "mcd": "MCD dB", "cr": "CR", "ctr": "CTR", "spk_source": "spkA", "spk_target": "spkB", "phones": "phones",
    "gv": "GV", "cents": "f0 cents", "gpe50": "GPE50", "vuv_f1": "V/UV", "in_tune": "in tune", "loudness": "loudness",
}  # fmt: skip

GATES: dict[str, dict[str, tuple[float, float]]] = {  # measure: lowest, highest
    "G1": {
        "cr": (0.30, 2), "ctr": (0.80, 2), "spk_target": (0.90, 2), "phones": (0.60, 2), "cents": (0, 10),
        "gpe50": (0, 0.05), "vuv_f1": (0.95, 2),
    },
    "G2": {"cr": (0.52, 2), "phones": (0.80, 2), "ctr": (0.95, 2), "gv": (0.85, 1.15)},
}  # fmt: skip


def misses(row: Scores, gate: str) -> list[str]:
    """The conditions of a gate that a row does not meet, in words; none when it passes."""
    return [
        f"{HEADINGS[name]} is {getattr(row, name):.3g}, not {_bounds(low, high)}"
        for name, (low, high) in GATES[gate].items()
        if not low <= getattr(row, name) <= high
    ]


def _bounds(low: float, high: float) -> str:
    return f"at least {low:g}" if high >= 2 and high < 3 else f"{low:g} to {high:g}" if low else f"at most {high:g}"


class References:
    """Two parallel singers, and the classifiers of phones and speakers that were trained on both their corpora."""

    def __init__(self, singers: ParallelSingers):
        self.singers = singers
        self.source, self.target = singers.voices
        sung = {voice.name: singers.corpus(voice) for voice in singers.voices}
        self.mels = {name: [AudioFeatures(wav).mel for wav, _ in pairs] for name, pairs in sung.items()}
        labels = [score.mel_labels() for pairs in sung.values() for _, score in pairs]
        self.phones = PhoneClassifier([mel for mels in self.mels.values() for mel in mels], labels)
        self.speakers = SpeakerClassifier(self.mels)

    def song(self, name: str) -> ParallelSong:
        """A song by both singers."""
        score = self.singers.score(name)
        return ParallelSong(name, score, sing(score, self.source), sing(score, self.target))

    def score(self, result: Samples, song: ParallelSong) -> Scores:
        """The measures of a result, float32 (T,) at 44.1 kHz, cut or zero-padded to the song's length."""
        count = song.score.mel_frames
        result = np.pad(result[: song.score.samples], (0, max(0, song.score.samples - len(result))))
        timbre = conversion.timbre(
            conversion.cepstra(conversion.envelopes(result, song.f0)),
            song.source_cepstra,
            song.target_cepstra,
            song.counted,
        )
        features = AudioFeatures(result)
        shares = self.speakers.shares(features.mel)
        return Scores(
            **asdict(timbre),
            spk_source=shares[self.source.name],
            spk_target=shares[self.target.name],
            phones=self.phones.accuracy(features.mel, song.score.mel_labels()),
            **asdict(conversion.pitch(features.f0, song.f0)),
            loudness=conversion.loudness_correlation(
                features.loudness[:count], song.target_features.loudness[:count], song.counted
            ),
        )

    def trivial(self) -> dict[str, Callable[[ParallelSong], Samples]]:
        """The systems to compare with a model, by name: each makes a result, float32 (T,) at 44.1 kHz, of a song.

        Systems without training, an oracle, which uses the true phones, and the true result itself.
        """
        mels, vocoder, once = self.mels, PulseNoise(), PulseNoise(0)
        return {
            "copy of the source": lambda song: song.source,
            "global EQ": lambda song: equalised(song.source, mels[self.source.name], mels[self.target.name]),
            "nearest neighbour + warp": lambda song: once(self._nearest(song.source_features.mel), song.f0),
            ORACLE: lambda song: self._oracle(song.source_features.mel, song.score),
            "reference through the vocoder": lambda song: vocoder(song.target_features.mel, song.f0),
            "the reference itself": lambda song: song.target,
        }

    @cached_property
    def _nearest(self) -> NearestFrames:
        return NearestFrames(self.mels[self.source.name], self.mels[self.target.name])

    @cached_property
    def _oracle(self) -> Oracle:
        scores = [self.singers.phrase(self.target, number) for number in range(self.singers.phrases)]
        return Oracle(self.mels[self.target.name], scores)


class ParallelSong:
    """A song by both singers.

    Attributes:
        source, target: sound, float32 (T,) at 44.1 kHz.
        f0: the true f0, Hz at mel centres, 0 = unvoiced, float32 (M,).
        source_cepstra, target_cepstra: at that f0, float64 (M, 25).
        counted: the frames that are compared, bool (M,).
    """

    def __init__(self, name: str, score: Score, source: Samples, target: Samples):
        self.name, self.score, self.source, self.target = name, score, source, target
        self.source_features, self.target_features = AudioFeatures(source), AudioFeatures(target)
        self.f0 = score.mel_f0()
        self.source_cepstra, self.target_cepstra = (
            conversion.cepstra(conversion.envelopes(wav, self.f0)) for wav in (source, target)
        )
        self.counted = conversion.audible(target, score.mel_frames)


def score_table(rows: dict[str, Scores], caption: str = "", marked: int | None = None) -> Table:
    """Rows by the name of their system; `marked` is the number of one to be printed in bold."""
    cells = [[name, *(shown(getattr(row, column)) for column in HEADINGS)] for name, row in rows.items()]
    return Table(caption, ["system", *HEADINGS.values()], cells, marked)


def table(rows: dict[str, Scores]) -> str:
    """Rows as a Markdown table."""
    return "\n".join(score_table(rows).markdown())


def shown(value: float) -> str:
    """A figure for a table: three decimals under 3, one above, nothing for NaN."""
    return "" if np.isnan(value) else f"{value:.1f}" if abs(value) >= 3 else f"{value:.3f}"
