"""A conversion beside the truth and beside what trivial methods reach, in rows; and the gates it may pass."""

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
from ..parallel_singers import ParallelSingers
from .oracle import TrueFrames


@dataclass(frozen=True)
class Scores:
    """What one system comes to on one song, or on average. The measures are those of pipeline.metrics and listeners."""

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
    loudness: float

    @classmethod
    def mean(cls, rows: list[Scores]) -> Scores:
        return cls(*(float(np.nanmean([getattr(row, field.name) for row in rows])) for field in fields(cls)))


ORACLE = "oracle: true phones"
HEADINGS = {
    "mcd": "MCD dB", "cr": "CR", "ctr": "CTR", "spk_source": "spkA", "spk_target": "spkB", "phones": "phones",
    "gv": "GV", "cents": "f0 cents", "gpe50": "GPE50", "vuv_f1": "V/UV", "loudness": "loudness",
}  # fmt: skip

GATES: dict[str, dict[str, tuple[float, float]]] = {  # measure: lowest, highest
    "G1": {
        "cr": (0.30, 2), "ctr": (0.80, 2), "spk_target": (0.90, 2), "phones": (0.60, 2), "cents": (0, 10),
        "gpe50": (0, 0.05), "vuv_f1": (0.95, 2),
    },
    "G2": {"cr": (0.52, 2), "phones": (0.80, 2), "ctr": (0.95, 2), "gv": (0.85, 1.15)},
}  # fmt: skip


def misses(row: Scores, gate: str) -> list[str]:
    """Which conditions of a gate a row fails, in words; none when it passes."""
    return [
        f"{HEADINGS[name]} {getattr(row, name):.3g} is not {_bounds(low, high)}"
        for name, (low, high) in GATES[gate].items()
        if not low <= getattr(row, name) <= high
    ]


def _bounds(low: float, high: float) -> str:
    return f"at least {low:g}" if high >= 2 and high < 3 else f"{low:g} to {high:g}" if low else f"at most {high:g}"


class References:
    """Two parallel singers, listened to by those who know them."""

    def __init__(self, singers: ParallelSingers):
        self.singers = singers
        self.source, self.target = singers.voices
        sung = {voice.name: singers.corpus(voice) for voice in singers.voices}
        self.mels = {name: [AudioFeatures(wav).mel for wav, _ in pairs] for name, pairs in sung.items()}
        labels = [score.mel_labels() for pairs in sung.values() for _, score in pairs]
        self.phones = PhoneClassifier([mel for mels in self.mels.values() for mel in mels], labels)
        self.speakers = SpeakerClassifier(self.mels)

    def song(self, name: str) -> ParallelSong:
        score = self.singers.score(name)
        return ParallelSong(name, score, sing(score, self.source), sing(score, self.target))

    def judge(self, result: Samples, song: ParallelSong) -> Scores:
        """A result (T,) at 44.1 kHz as long as the song, within a mel frame."""
        count = song.score.mel_frames
        result = np.pad(result[: song.score.samples], (0, max(0, song.score.samples - len(result))))
        way = conversion.timbre(
            conversion.cepstra(conversion.envelopes(result, song.f0)),
            song.source_cepstra,
            song.target_cepstra,
            song.judged,
        )
        sound = AudioFeatures(result)
        shares = self.speakers.shares(sound.mel)
        return Scores(
            **asdict(way),
            spk_source=shares[self.source.name],
            spk_target=shares[self.target.name],
            phones=self.phones.accuracy(sound.mel, song.score.mel_labels()),
            **asdict(conversion.pitch(sound.f0, song.f0)),
            loudness=conversion.loudness_correlation(
                sound.loudness[:count], song.target_sound.loudness[:count], song.judged
            ),
        )

    def trivial(self) -> dict[str, Callable[[ParallelSong], Samples]]:
        """The systems that learn nothing, the oracle, which is told the phones, and the reference itself: each makes
        sound of a song."""
        mels, vocoder, once = self.mels, PulseNoise(), PulseNoise(mends=0)
        return {
            "copy of the source": lambda song: song.source,
            "global EQ": lambda song: equalised(song.source, mels[self.source.name], mels[self.target.name]),
            "nearest neighbour + warp": lambda song: once(self._nearest(song.source_sound.mel), song.f0),
            ORACLE: lambda song: self._told(song.source_sound.mel, song.score),
            "reference through the vocoder": lambda song: vocoder(song.target_sound.mel, song.f0),
            "the reference itself": lambda song: song.target,
        }

    @cached_property
    def _nearest(self) -> NearestFrames:
        return NearestFrames(self.mels[self.source.name], self.mels[self.target.name])

    @cached_property
    def _told(self) -> TrueFrames:
        scores = [self.singers.phrase(self.target, number) for number in range(self.singers.phrases)]
        return TrueFrames(self.mels[self.target.name], scores)


class ParallelSong:
    """A score as both sing it: sound (T,) float32 at 44.1 kHz, the true f0, and cepstra at that f0."""

    def __init__(self, name: str, score: Score, source: Samples, target: Samples):
        self.name, self.score, self.source, self.target = name, score, source, target
        self.source_sound, self.target_sound = AudioFeatures(source), AudioFeatures(target)
        self.f0 = score.mel_f0()
        self.source_cepstra, self.target_cepstra = (
            conversion.cepstra(conversion.envelopes(wav, self.f0)) for wav in (source, target)
        )
        self.judged = conversion.audible(target, score.mel_frames)


def table(rows: dict[str, Scores]) -> str:
    """Rows as a Markdown table."""
    lines = ["| system | " + " | ".join(HEADINGS.values()) + " |", "|---|" + "---|" * len(HEADINGS)]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(shown(getattr(row, column)) for column in HEADINGS) + " |")
    return "\n".join(lines)


def shown(value: float) -> str:
    """A figure for a table."""
    return "" if np.isnan(value) else f"{value:.1f}" if abs(value) >= 3 else f"{value:.3f}"
