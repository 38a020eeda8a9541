"""The interface of converters: samples in, a Conversion out.

A Converter decides how a song is cut and tracked, and turns a plan into sound, phrase by phrase. Everything else is the
same for all of them: files (render_file.py), measuring, pictures, loudness, peaks. `svc render`, `svc evaluate` and all
other code that converts a song call one of

    convert(wav, rate)                          -> Conversion, in memory
    analyse(source), plan(features), stream()   -> the same step by step: features once, phrases as often as needed
    render_file(converter, song, out)           -> a file, in bounded memory
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.progress import Bar, Progress
from ...pipeline import audio, frames
from ...pipeline.audio import Recording
from ...pipeline.pitch.melody import Range
from ...pipeline.pitch.settings import PitchSettings
from ...pipeline.sample_buffer import SampleBuffer
from ...pipeline.slicing import SliceSettings
from ..settings import ConversionSettings
from . import source_features
from .breaths import BreathTreatment, treat_breaths
from .dynamics import volume
from .measurement import Measurement, measure
from .mixer import Mixer
from .output_buffer import OutputBuffer
from .source_audio import Phrase, SourceAudio, song_slices
from .source_features import SourceFeatures
from .stopwatch import Stopwatch
from .target_f0 import F0, TargetF0, melody_of, range_warnings, target_f0

Samples = NDArray[np.float32]
OnAudio = Callable[[float, Samples], None]  # seconds from the song's start, samples at 44.1 kHz


@dataclass(frozen=True)
class ConversionPlan:
    """The plan of a conversion: a song's features, the target f0 in Hz at mel centres, and the settings."""

    features: SourceFeatures
    target: TargetF0
    settings: ConversionSettings
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> SourceAudio:
        """The song."""
        return self.features.source

    def mixing(self, result: OutputBuffer, source_gain: float = 1.0) -> BreathTreatment:
        """How a result is mixed by the settings: its volume at each mel frame, and its breaths.

        The volume is divided by `source_gain`, the factor of the song before it was converted.
        """
        loud = volume(self.features.loudness[: len(result.power)], result.power, self.settings)
        if source_gain != 1.0:
            loud = loud / np.float32(source_gain)
        return treat_breaths(self.settings, self.features, result.power, loud)


@dataclass(frozen=True)
class AudioChunk:
    """Converted sound: `samples`, float32 (512 n,) at 44.1 kHz, from mel frame `start` on.

    `begins` and `ends` say whether a phrase begins or ends here, with silence beside it.
    """

    phrase: int
    start: int
    samples: Samples = field(repr=False)
    begins: bool
    ends: bool

    @property
    def seconds(self) -> float:
        """Where it begins, from the song's start."""
        return frames.mel_seconds(self.start)


@dataclass(frozen=True)
class Conversion:
    """A converted song in memory.

    Attributes:
        samples: float32 (T,) at `sample_rate`, as long as the song.
        sample_rate: 44100 Hz.
        plan: the target f0, the key, the settings, and the song's features.
        measured: f0, loudness and mel of `samples`; None if they were not requested.
        notes: sentences for the user.
        timings: seconds by part of the work.
        metadata: of the conversion: versions, hashes, settings as they were used.
    """

    samples: Samples = field(repr=False)
    sample_rate: int
    plan: ConversionPlan
    measured: Measurement | None
    notes: tuple[str, ...]
    timings: dict[str, float]
    metadata: Mapping[str, Any]

    @property
    def key(self) -> float:
        """Semitones above the song."""
        return self.plan.target.key

    @property
    def target_f0(self) -> F0:
        """The f0 asked for: Hz at mel centres, 0 = unvoiced, float32 (frames,)."""
        return self.plan.target.f0


class Converter(ABC):
    """Turns planned songs into sound. `name` is for titles, `slices` and `stored_pitch` are how songs are prepared."""

    name: str
    settings: ConversionSettings = ConversionSettings()
    slices: SliceSettings = SliceSettings()
    stored_pitch: PitchSettings = PitchSettings()

    @abstractmethod
    def stream(
        self, plan: ConversionPlan, phrases: Sequence[int] | None = None, watch: Stopwatch | None = None
    ) -> Iterator[AudioChunk]:
        """The sound of some phrases of a plan, by their numbers (None is all), in order; a phrase has no gaps.

        A phrase sounds the same, to the bit, whichever others are converted with it.
        """

    def speaker(self, settings: ConversionSettings | None = None) -> str:
        """The target voice's name, for titles and file names."""
        return self.name

    def headline(self) -> str:
        """One line about the models that it uses."""
        return f"voice {self.name}"

    def about(self) -> dict[str, str]:
        """The models that it uses, by name, for a page: voice, encoder, vocoder and so on."""
        return {"voice": self.name}

    def voice_range(self, settings: ConversionSettings) -> Range | None:
        """The target voice's range, if it is known."""
        return None

    def metadata(self, plan: ConversionPlan) -> Mapping[str, Any]:
        """Everything besides the song that the sound of a plan's conversion depends on."""
        return MappingProxyType({})

    def notes(self, settings: ConversionSettings) -> list[str]:
        """Sentences for the user about the effect of these settings."""
        return []

    def cut(self, recording: Recording, settings: ConversionSettings | None = None) -> SourceAudio:
        """A recording, cut into phrases as the voice's recordings were cut (source_audio.song_slices)."""
        slices = song_slices(recording, self.slices, (settings or self.settings).slice_db)
        return SourceAudio.cut(recording, slices)

    def open(
        self, wav: NDArray[np.floating], sample_rate: int, settings: ConversionSettings | None = None
    ) -> SourceAudio:
        """Samples (T,) or (T, channels), cut into phrases. Raises AudioError where they cannot be used."""
        return self.cut(audio.scan(SampleBuffer.of(wav, sample_rate)), settings)

    def analyse(
        self,
        source: SourceAudio,
        settings: ConversionSettings | None = None,
        bar: Bar | None = None,
        watch: Stopwatch | None = None,
    ) -> SourceFeatures:
        """f0 and loudness of a song. They depend on its f0 settings alone: one analysis serves any number of plans."""
        settings = settings or self.settings
        pitch, highest = settings.pitch(self.stored_pitch), settings.highest_note
        return source_features.analyse(source, pitch, bar or _NoBar(), watch or Stopwatch(), highest)

    def plan(
        self, features: SourceFeatures, settings: ConversionSettings | None = None, f0: F0 | None = None
    ) -> ConversionPlan:
        """Choose the target f0 and key.

        Args:
            features: the song's.
            settings: by default the converter's own.
            f0: the song's melody in Hz at mel centres, 0 = unvoiced, float32 (frames,), in place of the tracked one; it
                is neither corrected nor smoothed. The key is applied to it.
        """
        settings = settings or self.settings
        speaker, voice = self.speaker(settings), self.voice_range(settings)
        song = melody_of(features.f0, settings) if f0 is None else np.asarray(f0, np.float32)
        if song.shape != (features.source.frames,):
            raise ValueError(f"f0 has the shape {song.shape}; the song has {features.source.frames} mel frames")
        target = target_f0(song, settings, voice, speaker)
        first = [target.note] if target.note else []
        notes = [
            *first,
            *features.source.recording.notes,
            *features.source.notes,
            *self.notes(settings),
            *range_warnings(target.f0, voice, speaker),
        ]
        return ConversionPlan(features, target, settings, tuple(notes))

    def convert(
        self,
        wav: NDArray[np.floating],
        sample_rate: int,
        settings: ConversionSettings | None = None,
        f0: F0 | None = None,
        progress: Progress | None = None,
        on_audio: OnAudio | None = None,
        measured: bool = True,
    ) -> Conversion:
        """Convert a song that is in memory.

        Args:
            wav: float (T,) or (T, channels).
            sample_rate: Hz.
            settings: the converter's own, where left out.
            f0: see `plan`.
            progress: is given a bar.
            on_audio: called with each piece of sound as soon as it is computed; between pieces there is silence.
                Loudness and peaks are adjusted later.
            measured: whether to measure f0, loudness and mel of the result.

        Raises:
            AudioError: the song cannot be used.
            UserError: the settings do not suit the converter.
        """
        watch = Stopwatch()
        with watch("slicing"):
            source = self.open(wav, sample_rate, settings)
        with (progress or Progress()).bar("song", round(1.1 * source.seconds_converted, 1), "s") as bar:
            plan = self.plan(self.analyse(source, settings, Tenth(bar), watch), settings, f0)
            buffer = OutputBuffer(source.samples)
            self.fill(buffer, plan, watch, bar, on_audio)
        with watch("mixing"):
            mixing = plan.mixing(buffer)
            blocks = [block[:, 0] for block in Mixer(buffer, mixing.volume, noise=mixing.noise)]
        found = None
        if measured:
            with watch("measuring"):
                found = measure(buffer, source, plan.target.f0)
        samples = np.concatenate([np.zeros(0, np.float32), *blocks])
        buffer.close()
        return Conversion(
            samples, frames.MEL_RATE, plan, found, (*plan.notes, *mixing.notes), watch.table(), self.metadata(plan)
        )

    def fill(
        self,
        buffer: OutputBuffer,
        plan: ConversionPlan,
        watch: Stopwatch,
        bar: Bar,
        on_audio: OnAudio | None = None,
        phrases: Sequence[int] | None = None,
    ) -> None:
        """Convert phrases of a plan, by their numbers (None is all), into a buffer."""
        for chunk in self.stream(plan, phrases, watch):
            buffer.put(chunk.start * frames.MEL_HOP, chunk.samples, rises=chunk.begins, falls=chunk.ends)
            watch.sounded()
            if on_audio is not None:
                on_audio(chunk.seconds, chunk.samples)
            bar.advance(len(chunk.samples) / frames.MEL_RATE)


def audio_chunks(phrase: Phrase, pieces: Iterator[Samples], watch: Stopwatch) -> Iterator[AudioChunk]:
    """A whole phrase's sound with its place in the song, from a vocoder's pieces, float32 (512 n,) at 44.1 kHz each."""
    at = phrase.start
    while True:
        with watch("vocoder"):
            wav = next(pieces, None)
        if wav is None:
            return
        stop = at + len(wav) // frames.MEL_HOP
        yield AudioChunk(phrase.number, at, wav, begins=at == phrase.start, ends=stop == phrase.end)
        at = stop


class Tenth(Bar):
    """A progress bar on which fast work counts a tenth."""

    def __init__(self, bar: Bar):
        self._bar = bar

    def advance(self, amount: float = 1) -> None:
        """Count a tenth of `amount`."""
        self._bar.advance(amount / 10)

    def note(self, text: str) -> None:
        self._bar.note(text)


class _NoBar:
    def advance(self, amount: float = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass
