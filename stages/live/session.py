"""`svc live`: opens a run, and streams from a device, from a file, or through a loopback to measure latency."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from ...common.errors import UserError
from ...pipeline import audio, frames
from ...pipeline.streaming.joins import Samples
from ...pipeline.streaming.timing import StreamTiming
from ..rendering.input_song import check_song, naming
from ..rendering.provenance import about, tag
from ..rendering.run_converter import RunConverter
from ..run import Run, newest_run
from .devices import Duplex, SimulatedLoopback
from .engine import LiveEngine
from .live_converter import LiveConverter, LiveSettings
from .measure import Latency, measure, measure_by_cpu_time

HELP = "k N: key; s NAME: voice; g DB: gate, or g off; b: bypass on or off; ?: how it goes; q: end"


@dataclass
class LiveSession:
    """A run that is loaded to convert a stream. `say` takes sentences for the user."""

    converter: LiveConverter
    margin: int
    say: Callable[[str], None]

    @classmethod
    def open(
        cls,
        settings: LiveSettings,
        timing: StreamTiming,
        margin_seconds: float,
        say: Callable[[str], None],
        model: Path | None = None,
    ) -> LiveSession:
        """Load a run and convert noise once, so that the first sound is not late.

        Args:
            settings: those to begin with.
            timing: hop, context and lookahead.
            margin_seconds: that computing a hop may take.
            say: takes sentences for the user.
            model: the run; None takes the newest in runs/.

        Raises:
            UserError: as RunConverter, or its vocoder cannot be used live.
        """
        converter = LiveConverter(RunConverter(Run.open(model or newest_run()), settings.conversion), settings, timing)
        seconds = converter.prepare()
        session = cls(converter, round(margin_seconds * frames.MEL_RATE), say)
        say(session.header())
        if seconds > min(margin_seconds, frames.mel_seconds(timing.hop)):
            say(
                f"warning: converting a hop took {1000 * seconds:.0f} ms here, so much will be late; give --hop and "
                f"--margin of {1.5 * seconds:.2f} or more, a shorter --context, or fewer --steps"
            )
        return session

    def header(self) -> str:
        """Which run, voice and vocoder are used, and the latency by definition."""
        used, timing = self.converter.converter, self.converter.timing
        margin = self.margin / frames.MEL_RATE
        hop, lookahead = (1000 * frames.mel_seconds(each) for each in (timing.hop, timing.lookahead))
        return (
            f"{used.run.path} (step {used.step}): voice {used.speaker()}, vocoder {used.vocoder.name}, on "
            f"{used.device}; latency {1000 * (timing.seconds + margin):.0f} ms (hop {hop:.0f}, "
            f"lookahead {lookahead:.0f}, computing {1000 * margin:.0f}) and the device's"
        )

    def engine(self, on_late: Callable[[str], None] | None = None) -> LiveEngine:
        """A new stream between a device and the converter. Sentences on dropped hops go to `on_late`, or to `say`."""
        return LiveEngine(self.converter.stream(), self.margin, on_late or self.say)

    def play(self, device: Duplex, commands: Iterable[str]) -> None:
        """Convert what a device records until `commands` end or one is `q`. Raises UserError as the device does."""
        engine = self.engine()
        with working(engine):
            device.start(engine.callback)
            try:
                self.say(f"on {device.name}. {HELP}")
                for line in commands:
                    if line.strip() == "q":
                        break
                    self.say(self.command(line.strip(), engine))
            finally:
                device.stop()
        self.say(summary(engine))

    def command(self, line: str, engine: LiveEngine) -> str:
        """Carry out a command of HELP; returns the result in words."""
        name, _, value = line.partition(" ")
        try:
            if name == "k":
                self.change(self.converter.settings.changed(key=float(value)))
                return f"key {float(value):+g}"
            if name == "s":
                self.change(self.converter.settings.changed(speaker=value))
                return f"voice {value}"
            if name == "g":
                conversion = self.converter.settings.conversion
                self.change(LiveSettings(conversion, None if value == "off" else float(value)))
                return f"gate {value}"
        except (ValueError, UserError) as error:
            return f"not changed: {error}"
        if name == "b":
            engine.bypass = not engine.bypass
            return f"bypass {'on' if engine.bypass else 'off'}"
        return summary(engine) if name == "?" else HELP

    def measure(self, device: Duplex, count: int) -> tuple[Latency, LiveEngine]:
        """The latency through a loopback, and the engine that it was measured with."""
        engine = self.engine()
        if isinstance(device, SimulatedLoopback) and device.cpu_time:
            engine.clock = time.process_time
            return measure_by_cpu_time(engine, device, count), engine
        with working(engine):
            latency = measure(engine, device, count)
        return latency, engine

    def stream_file(self, song: Path, out: Path) -> float:
        """Convert a song as live conversion would, into a WAV of its length; returns its seconds.

        Raises:
            UserError: `out` exists and was not made by svc.
            AudioError: the song cannot be used.
        """
        with naming(song):
            check_song(song)
        if not out.parent.is_dir():
            raise UserError(f"the folder {out.parent} does not exist", "make it, or give another place with -o")
        if out.exists():
            raise UserError(f"{out} exists", "move it, or give another place with -o")
        with naming(song):
            recording = audio.scan(audio.decode(song))
        mono = audio.read(recording, 0, recording.frames)
        length = frames.resampled_length(recording.samples, recording.sample_rate, frames.MEL_RATE)
        wav = audio.resample(mono, recording.sample_rate, frames.MEL_RATE, length)
        sung = self.converter.stream().stream(wav)
        conversion = self.converter.settings.conversion
        made = {
            "run_sha256": self.converter.converter.run_hash,
            "step": self.converter.converter.step,
            "settings": {"speaker": self.converter.converter.speaker(conversion)},
        }
        with soundfile.SoundFile(out, "w", frames.MEL_RATE, 1) as file:
            tag(file, about(made, float(conversion.key)), out.stem)
            file.write(limited(sung))
        return len(sung) / frames.MEL_RATE

    def change(self, settings: LiveSettings) -> None:
        """Check settings, load what they need, and use them from the next window.

        Raises:
            UserError: the run lacks the speaker, or something that the settings need.
        """
        self.converter.converter.voice(settings.conversion)
        self.converter.converter.sampling(settings.conversion)
        self.converter.settings = settings


def limited(wav: Samples) -> Samples:
    """Samples (T,), attenuated to a peak of 1 if they are louder: the same shape."""
    return wav / max(np.float32(1), np.abs(wav).max(initial=0))


@contextmanager
def working(engine: LiveEngine) -> Iterator[None]:
    """A context in which an engine's worker thread runs."""
    stop = threading.Event()
    thread = threading.Thread(target=engine.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def summary(engine: LiveEngine) -> str:
    """The report of a stream."""
    report = engine.report
    p50, p99 = (1000 * report.quantile(share) for share in (0.5, 0.99))
    hop = 1000 * frames.mel_seconds(engine.stream.timing.hop)
    return (
        f"{report.converted} hops converted, {report.dropped} dropped, {report.missing / frames.MEL_RATE:.2f} s "
        f"missing; a hop of {hop:.0f} ms took {p50:.0f} ms (p50), {p99:.0f} ms (p99)"
    )
