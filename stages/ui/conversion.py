"""One phrase of a song, converted: the page's way into `stages.rendering`."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...pipeline import frames
from ...pipeline.formant_shift import shift_formants
from ...pipeline.metrics import conversion as measures
from ...pipeline.metrics import phone_agreement
from ...pipeline.metrics.audio_features import AudioFeatures
from ...pipeline.metrics.cepstra import loud
from ...pipeline.metrics.phone_agreement import PhoneGroupClassifier
from ..rendering.dynamics import volume
from ..rendering.render import Converter
from ..rendering.source_audio import Segment, SourceAudio
from ..rendering.stopwatch import Stopwatch
from ..run import Run
from ..settings import RenderSettings

Samples = NDArray[np.float32]
KEPT = 3  # converters that stay loaded


@dataclass(frozen=True)
class Converted:
    """A phrase's sound, float32 (T,) at 44.1 kHz, the f0 asked for it in Hz at its mel frames, and the key."""

    wav: Samples
    asked: Samples
    key: float


class Converters:
    """Loaded runs, the last used ones kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], Converter] = OrderedDict()

    def get(self, run: Path, settings: RenderSettings) -> Converter:
        """A converter with these settings, from what is loaded if possible. Raises as `Converter` does."""
        opened = Run.open(run)
        loaded = replace(settings, seed=0, key=0.0, smooth_ms=0.0, fix_octaves=False, formants=0.0, loudness=0.0)
        key = (run, opened.best.stat().st_mtime_ns if opened.best.exists() else 0, loaded)
        if key not in self._kept:
            self._kept[key] = Converter(opened, loaded)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        converter = self._kept[key]
        converter.settings = settings
        converter.acoustic = replace(converter.acoustic, seed=settings.seed)
        return converter


def target_f0(converter: Converter, f0: Samples, edited: bool) -> tuple[Samples, float]:
    """The song's f0 -> the f0 to sing, and the key. An f0 that was drawn is sung as it is, but for the key."""
    if not edited:
        asked, key, _ = converter.ask(f0)
        return asked, key
    _, key, _ = converter.ask(f0)
    return (f0 * np.float32(2 ** (key / 12))).astype(np.float32), key


def convert_phrase(converter: Converter, song: SourceAudio, segment: Segment, asked: Samples) -> Samples:
    """The sound of one phrase with what it shares with its neighbours, float32 (frames of it * 512,)."""
    alone = replace(segment, before=False, after=False)
    one = next(converter.acoustic.draw(SourceAudio(song.recording, [alone], song.f0), asked, Stopwatch()))
    f0 = asked[segment.start : segment.end]
    mel = shift_formants(one.mel, f0, converter.settings.formants)
    wav = np.concatenate(list(converter.vocoder.stream(iter([mel]), f0)))[: len(segment) * frames.MEL_HOP]
    power = np.square(wav).reshape(-1, frames.MEL_HOP).mean(1)
    loud_as = volume(one.loudness[: len(power)], power, converter.settings)
    at = np.arange(len(wav)) / frames.MEL_HOP - 0.5
    return (wav * np.interp(at, np.arange(len(loud_as)), loud_as)).astype(np.float32)


def score(listener: PhoneGroupClassifier, source: Samples, wav: Samples, asked: Samples) -> dict[str, float | None]:
    """`schemas.TakeScores` of a phrase, from the source's and its own sound at 44.1 kHz and the f0 that was asked."""
    before, after = AudioFeatures(source), AudioFeatures(wav)
    count = min(len(asked), len(after.f0))
    wanted = asked[:count] > 0
    hit = wanted & (after.f0[:count] > 0)
    hit[hit] = np.abs(1200 * np.log2(after.f0[:count][hit] / asked[:count][hit])) <= 50
    in_tune = float(hit.sum() / wanted.sum()) if wanted.any() else None
    judged = loud(before.mel)
    told, said = listener.tell(before.mel), listener.tell(after.mel)
    phones = phone_agreement.alike(told, said, judged) if judged.any() else None
    both = min(len(before.loudness), len(after.loudness))
    audible = measures.audible(before.wav, both)
    correlated = measures.loudness_correlation(after.loudness[:both], before.loudness[:both], audible)
    follows = float(correlated) if np.isfinite(correlated) else None
    parts = [(0.45, in_tune), (0.45, phones), (0.1, follows)]
    known = [(weight, value) for weight, value in parts if value is not None]
    overall = sum(weight * value for weight, value in known) / sum(weight for weight, _ in known) if known else 0.0
    shown = {"overall": overall, "in_tune": in_tune, "phones": phones, "loudness": follows}
    return {name: None if value is None else round(value, 4) for name, value in shown.items()}


def f0_hash(asked: Samples) -> str:
    """What f0 a take was made with."""
    return hashlib.sha256(np.ascontiguousarray(asked).tobytes()).hexdigest()[:16]


def settings_of(settings: dict[str, Any]) -> RenderSettings:
    """A take's settings as those of `svc render`. Raises ValueError for what it does not take."""
    taken = {name: value for name, value in settings.items() if name != "voice"}
    return RenderSettings(**taken, depth="24")
