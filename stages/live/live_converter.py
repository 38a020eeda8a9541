"""The windows of a stream, converted with a run."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...common.errors import UserError
from ...pipeline import frames
from ...pipeline.formant_shift import shift_formants
from ...pipeline.pitch import melody, pitch
from ...pipeline.slicing import Span
from ...pipeline.streaming.block_stream import BlockStream, WindowConverter
from ...pipeline.streaming.excitation import CarriedExcitation
from ...pipeline.streaming.joins import Samples
from ...pipeline.streaming.timing import FADE, StreamTiming
from ...pipeline.vocoder.vocoder import SourceVocoder
from ..features import Waveform
from ..rendering.run_converter import RunConverter
from ..rendering.source_audio import Segment
from ..rendering.stopwatch import Stopwatch
from ..settings import RenderSettings

__all__ = ["LiveConverter", "LiveSettings", "StreamTiming"]

ACOUSTIC_FRAMES = 34  # 0.4 s before the vocoder's input, context of the acoustic model
HOLD_FRAMES = 17  # 0.2 s after sound, for which the gate stays open


@dataclass(frozen=True)
class LiveSettings:
    """The settings that can change while a stream runs.

    Attributes:
        conversion: voice, key, formants, retrieval, steps of the sampler; the key is a number of semitones.
        gate_db: dBFS; when the source has been softer for 0.2 s, the output is silence and nothing is computed. None:
            there is no gate.
    """

    conversion: RenderSettings
    gate_db: float | None = -60.0

    def __post_init__(self) -> None:
        if isinstance(self.conversion.key, str):
            raise ValueError("the key of a live conversion is a number of semitones: what comes is not known yet")
        if self.gate_db is not None and not -120 <= self.gate_db <= 0:
            raise ValueError(f"a gate lies between -120 and 0 dBFS, not {self.gate_db}")

    def changed(self, **values: Any) -> LiveSettings:
        """The same with other values of `conversion`. Raises ValueError for an invalid one."""
        return replace(self, conversion=replace(self.conversion, **values))


class LiveConverter(WindowConverter):
    """Converts each window on its own; f0 and the vocoder's phase continue from one to the next.

    f0 is tracked in the window; frames that were emitted keep their f0. The encoder's input is the window alone, so its
    group norm and attention run over `timing.window` frames. A frame's noise follows from its number.

    Args:
        converter: the run's, with a vocoder that shapes a given source: the run's own or `plain`.
        settings: those to begin with; `settings` may be replaced at any time, and holds from the next window.
        timing: as of the BlockStream.

    Raises:
        UserError: the vocoder is another one.
    """

    def __init__(self, converter: RunConverter, settings: LiveSettings, timing: StreamTiming):
        if not isinstance(converter.vocoder, SourceVocoder):
            raise UserError(
                f"the vocoder {converter.vocoder.name} cannot be used live: the phase of its source cannot be carried "
                f"from one window to the next; the run's own and plain can"
            )
        self.converter, self.vocoder = converter, converter.vocoder
        self.settings, self.timing = settings, timing
        self.watch = Stopwatch()
        self.reach = min(self.vocoder.context, timing.context)
        self.excitation = CarriedExcitation(timing.context)
        self.skipped = max(0, timing.context - self.reach - ACOUSTIC_FRAMES)  # of a window, by the acoustic model

    def stream(self) -> BlockStream:
        """A stream that begins anew."""
        self.excitation = CarriedExcitation(self.timing.context)
        return BlockStream(self, self.timing)

    def prepare(self) -> float:
        """Load everything for the first windows, each speaker's units and all networks, by converting noise.

        Returns the seconds that the last of three windows took.
        """
        for speaker in self.converter.run.speakers:
            self.converter.voice(replace(self.settings.conversion, speaker=speaker))
        noise = np.random.default_rng(0).normal(0, 0.1, self.timing.window * frames.MEL_HOP).astype(np.float32)
        seconds = 0.0
        for _ in range(3):
            begun = time.monotonic()
            self.convert(noise, 0)
            seconds = time.monotonic() - begun
        self.excitation = CarriedExcitation(self.timing.context)
        self.watch = Stopwatch()
        return seconds

    def convert(self, window: Samples, start: int) -> Samples:
        timing, settings = self.timing, self.settings
        with self.watch("resampling"):
            wave = Waveform(window, frames.MEL_RATE, timing.window)
        with self.watch("loudness"):
            loudness = wave.loudness()
        if settings.gate_db is not None and loudness[timing.context - HOLD_FRAMES :].max() < settings.gate_db:
            self.skip()
            return np.zeros((timing.hop + FADE) * frames.MEL_HOP, np.float32)
        with self.watch("f0"):
            f0 = self._f0(wave, settings)
        segment = Segment(Span(start, start + timing.window), start, start + timing.window, False, False)
        conversion = settings.conversion
        mel = self.converter.predictor.predict_one(
            wave,
            segment,
            f0,
            loudness,
            self.converter.voice(conversion),
            self.converter.sampling(conversion),
            self.watch,
            self.skipped,
        )
        with self.watch("vocoder"):
            return self._sing(mel, f0, start, conversion.formants)

    def skip(self) -> None:
        self.excitation.emit(np.zeros(self.timing.hop + 1, np.float32), self.timing.hop)

    def _f0(self, wave: Waveform, settings: LiveSettings) -> Samples:
        """The target f0 of a window, (timing.window,): frames that were emitted keep their f0."""
        tracked = wave.f0(settings.conversion.pitch(self.converter.stored_pitch))
        f0 = melody.transposed(pitch.repair(tracked), float(settings.conversion.key))
        f0[: self.timing.context] = self.excitation.f0
        return f0

    def _sing(self, mel: Samples, f0: Samples, start: int, formants: float) -> Samples:
        """The sound of a window from its mel without the first `skipped` frames, and its f0 (timing.window,)."""
        timing = self.timing
        first = timing.context - self.reach
        pulses, hiss = self.excitation(start + timing.context, f0[timing.context :], self.reach)
        shaped = shift_formants(mel[first - self.skipped :], f0[first:], formants)
        wav = self.vocoder.shape(shaped, f0[first:], pulses, hiss)
        self.excitation.emit(f0[timing.context :], timing.hop)
        begin = self.reach * frames.MEL_HOP
        return wav[begin : begin + (timing.hop + FADE) * frames.MEL_HOP]
