"""Phrases of a song, converted one by one: the page's way to a `Converter` (stages.rendering.converter)."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.progress import Bar
from ...pipeline import audio, frames
from ...pipeline.metrics import conversion as measures
from ...pipeline.metrics import phone_agreement
from ...pipeline.metrics.audio_features import AudioFeatures
from ...pipeline.metrics.cepstra import loud
from ...pipeline.metrics.phone_agreement import PhoneGroupClassifier
from ...pipeline.pitch.settings import PitchSettings
from ...pipeline.slicing import Span
from ..rendering import source_features
from ..rendering.breaths import BreathTreatment, treat_breaths
from ..rendering.converter import ConversionPlan
from ..rendering.dynamics import volume
from ..rendering.run_converter import RunConverter
from ..rendering.source_audio import SHARED_FRAMES, Phrase, Segment, SourceAudio
from ..rendering.source_features import SourceFeatures
from ..rendering.stopwatch import Stopwatch
from ..run import Run
from ..settings import ConversionSettings, RenderSettings
from ..settings.render import F0_MAX

Samples = NDArray[np.float32]


class ConverterCache:
    """Loaded runs; the last used ones are kept. Other settings of a take do not require loading again."""

    KEPT = 3

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int], RunConverter] = OrderedDict()

    def get(self, run: Path) -> RunConverter:
        """A run's converter. Raises as `RunConverter` does."""
        opened = Run.open(run)
        key = (run, opened.best.stat().st_mtime_ns if opened.best.exists() else 0)
        if key not in self._kept:
            # Each take has its own settings: a retrieval index, which may be damaged, is loaded when a take needs it.
            self._kept[key] = RunConverter(opened, RenderSettings(retrieve=0.0))
            while len(self._kept) > self.KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


class SongCache:
    """Analysed songs; the last ones are kept, so that each is decoded and tracked once for any number of takes."""

    KEPT = 2

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int], SourceFeatures] = OrderedDict()

    def keep(self, file: Path, features: SourceFeatures) -> None:
        """Keep a song's features; the oldest beyond KEPT are dropped."""
        self._kept[file, file.stat().st_mtime_ns] = features
        while len(self._kept) > self.KEPT:
            self._kept.popitem(last=False)

    def get(self, file: Path, spans: Sequence[Span], bar: Bar) -> SourceFeatures:
        """A song's features. Raises AudioError where it cannot be used."""
        key = (file, file.stat().st_mtime_ns)
        if key not in self._kept:
            source = one_by_one(audio.scan(audio.decode(file)), spans)
            self.keep(file, source_features.analyse(source, PitchSettings(), bar, Stopwatch(), F0_MAX))
        self._kept.move_to_end(key)
        return self._kept[key]


def one_by_one(recording: audio.Recording, spans: Sequence[Span]) -> SourceAudio:
    """A song whose phrases are converted separately.

    A phrase that was cut in mid-sound begins a quarter second early, or ends so much late, so that its takes can be
    faded into those of its neighbours (stages/ui/comp.py).
    """
    phrases = []
    for number, (span, following) in enumerate(zip(spans, [*spans[1:], None], strict=True)):
        after = following is not None and following.joined
        start, end = span.start - SHARED_FRAMES * span.joined, span.end + SHARED_FRAMES * after
        segment = Segment(Span(start, end), start, end, before=False, after=False)
        phrases.append(Phrase(number, (segment,)))
    return SourceAudio(recording, tuple(phrases))


def plan_of(
    converter: RunConverter, features: SourceFeatures, settings: ConversionSettings, f0: Samples, edited: bool
) -> ConversionPlan:
    """A plan with the f0 (M,), Hz, that the page shows; one that the user drew is not corrected or smoothed."""
    return converter.plan(replace(features, f0=f0), settings, f0 if edited else None)


def convert_phrase(converter: RunConverter, plan: ConversionPlan, number: int) -> Samples:
    """The sound of one phrase, float32 (frames of it * 512,) at 44.1 kHz."""
    (segment,) = plan.source.phrases[number].segments
    wav = np.concatenate([chunk.samples for chunk in converter.stream(plan, [number])])
    power = np.square(wav).reshape(-1, frames.MEL_HOP).mean(1)
    loud = volume(plan.features.segment_loudness[segment][: len(power)], power, plan.settings)
    treated = phrase_breaths(plan, segment.start, power, loud)
    factor = treated.volume[segment.start : segment.end]
    at = np.arange(len(wav)) / frames.MEL_HOP - 0.5
    wav = (wav * np.interp(at, np.arange(len(factor)), factor)).astype(np.float32)
    return wav if treated.noise is None else treated.noise.blend(segment.start * frames.MEL_HOP, wav)


def phrase_breaths(plan: ConversionPlan, start: int, power: Samples, loud: Samples) -> BreathTreatment:
    """How the breaths of one phrase are mixed. The song's own have the same level relative to the voice as in the song.

    Args:
        plan: its settings decide about breaths.
        start: the phrase's first mel frame.
        power: mean square of its mel frames, float32 (n,).
        loud: the factor for each of its mel frames, float32 (n,).
    """
    end = start + len(power)
    song_power, song_loud = np.zeros(plan.source.frames, np.float32), np.ones(plan.source.frames, np.float32)
    song_power[start:end], song_loud[start:end] = power, loud
    return treat_breaths(plan.settings, plan.features, song_power, song_loud, (start, end))


def source_of(plan: ConversionPlan, number: int) -> Samples:
    """The song's own sound of a phrase, float32 (T,) at 44.1 kHz, as long as a take of it."""
    phrase, recording = plan.source.phrases[number], plan.source.recording
    mono = audio.read(recording, phrase.start, phrase.end)
    length = (phrase.end - phrase.start) * frames.MEL_HOP
    return audio.resample(mono, recording.sample_rate, frames.MEL_RATE, length)


def score(classifier: PhoneGroupClassifier, source: Samples, wav: Samples, asked: Samples) -> dict[str, float | None]:
    """`schemas.TakeScores` of a phrase, from the source's and its own sound (T,) at 44.1 kHz and the f0 asked, (M,)."""
    before, after = AudioFeatures(source), AudioFeatures(wav)
    share = measures.pitch(after.f0, asked).in_tune
    in_tune = share if np.isfinite(share) else None
    judged = loud(before.mel)
    before_groups, after_groups = classifier.predict(before.mel), classifier.predict(after.mel)
    phones = phone_agreement.agreement(before_groups, after_groups, judged) if judged.any() else None
    both = min(len(before.loudness), len(after.loudness))
    audible = measures.audible(before.wav, both)
    correlated = measures.loudness_correlation(after.loudness[:both], before.loudness[:both], audible)
    follows = float(correlated) if np.isfinite(correlated) else None
    parts = [(0.45, in_tune), (0.45, phones), (0.1, follows)]
    known = [(weight, value) for weight, value in parts if value is not None]
    overall = sum(weight * value for weight, value in known) / sum(weight for weight, _ in known) if known else 0.0
    shown = {"overall": max(0.0, overall), "in_tune": in_tune, "phones": phones, "loudness": follows}
    return {name: None if value is None else round(value, 4) for name, value in shown.items()}


def f0_hash(asked: Samples) -> str:
    """A hash of the f0 (M,) that a take was made with."""
    return hashlib.sha256(np.ascontiguousarray(asked).tobytes()).hexdigest()[:16]


def settings_of(settings: dict[str, Any], seed: int) -> ConversionSettings:
    """A take's settings as those of `svc render`. Raises ValueError for what it does not take."""
    return ConversionSettings(**{**settings, "seed": seed})
