"""`svc render` of one song: a file in, a file out, with a picture and a description beside it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...common.progress import Progress
from ...pipeline import audio
from ...pipeline.audio import Recording
from ..settings import RenderSettings
from . import f0_file as f0_files
from . import provenance
from .converter import ConversionPlan, Converter, OnAudio, Tenth
from .measurement import measure
from .mixer import Mixer
from .output import check_writable, choose_format, write_output
from .output_buffer import OutputBuffer
from .result_files import draw, write_description
from .separation import Stems, separate
from .source_audio import SourceAudio
from .stopwatch import Stopwatch


@dataclass(frozen=True)
class RenderReport:
    """What came of a song. The shares are of the frames that both the target and the result's f0 call voiced, if any.

    Attributes:
        song, wav: where the song and the result lie.
        speaker: the target voice.
        key: semitones above the song.
        seconds: how long the song lasts.
        took: seconds that it took.
        first_sound: seconds after which the first sound was there.
        timings: seconds by part of the work.
    """

    song: Path
    wav: Path
    speaker: str
    key: float
    seconds: float
    took: float
    median_cents: float | None
    within_20_cents: float | None
    within_50_cents: float | None
    notes: tuple[str, ...]
    timings: dict[str, float]
    first_sound: float | None

    @property
    def picture(self) -> Path:
        return self.wav.with_suffix(".png")

    def lines(self, verbose: bool = False) -> list[str]:
        """What a reader wants to know; `verbose` adds how long each part took."""
        said = [f"  {self.song}: {note}" for note in self.notes]
        in_tune = (
            "nothing in it is voiced"
            if self.within_20_cents is None
            else f"{self.within_20_cents:.1%} of voiced frames within 20 cents of the asked f0 "
            f"({self.within_50_cents:.1%} within 50)"
        )
        said.append(f"{self.wav}: {self.seconds:.1f} s in {self.took:.1f} s; {in_tune}")
        if verbose:
            said += [
                f"  {seconds:8.2f} s  {seconds / self.seconds:6.3f} of real time  {name}"
                for name, seconds in self.timings.items()
            ]
            said += [f"  first sound after {self.first_sound:.2f} s"] if self.first_sound is not None else []
        return said


def render_file(
    converter: Converter,
    song: Path,
    out: Path,
    settings: RenderSettings | None = None,
    progress: Progress | None = None,
    on_audio: OnAudio | None = None,
    f0_file: Path | None = None,
) -> RenderReport:
    """Convert a song of any length in bounded memory. Writes `out`, and beside it a .png and a .json of that name.

    Args:
        converter: what converts.
        song: a recording that pipeline.audio reads.
        out: ends in one of `output.FORMATS`.
        settings: the converter's own, where left out.
        progress: is given a bar.
        on_audio: called with each piece of sound as soon as it is there, before loudness, mixing and peaks.
        f0_file: the song's f0, in place of the one that is tracked; it is neither corrected nor smoothed.

    Raises:
        AudioError: the song cannot be used.
        UserError: `out` cannot be written, or is a file that svc did not make.
    """
    progress, watch = progress or Progress(), Stopwatch()
    if settings is None:
        settings = converter.settings if isinstance(converter.settings, RenderSettings) else RenderSettings()
    check_writable(out, song)
    with ExitStack() as opened:
        with watch("decoding and slicing"):
            decoded = audio.decode(song, out.parent)
            opened.callback(decoded.close)
            original = audio.scan(decoded)
        choose_format(out, settings.bit_depth, settings.rate or original.sample_rate)
        stems = None
        if settings.separate:
            with watch("separation"):
                stems = separate(decoded, out.parent, settings.device, progress)
                opened.callback(stems.close)
        with watch("decoding and slicing"):
            source = SourceAudio.cut(audio.scan(stems.voice) if stems else original, converter.slices)
        result = OutputBuffer(source.samples, out.parent)
        opened.callback(result.close)
        with progress.bar(song.name, round(1.1 * source.seconds_converted, 1), "s") as bar:
            f0 = None if f0_file is None else f0_files.read(f0_file, source.frames)
            plan = converter.plan(converter.analyse(source, settings, Tenth(bar), watch), settings, f0)
            converter.fill(result, plan, watch, bar, on_audio)
        with watch("writing"):
            tags = provenance.about(converter.metadata(plan), plan.target.key)
            mixed = _mixed(result, plan, stems)
            gain = write_output(mixed, out, settings, original.samples, original.sample_rate, tags)
        with watch("measuring"):
            found = measure(result, source, plan.target.f0, plan.features.pitch)
    speaker = converter.speaker(plan.settings)
    with watch("picture"):
        draw(plan, found, song.name, f"{out.name} ({speaker}, {plan.target.key:+g} semitones)", out)
    report = RenderReport(
        song=song,
        wav=out,
        speaker=speaker,
        key=plan.target.key,
        seconds=original.seconds,
        took=round(watch.total, 2),
        **found.figures(),
        notes=_notes(plan, original, gain),
        timings=watch.table(),
        first_sound=watch.first_sound and round(watch.first_sound, 2),
    )
    about = {
        "song": str(song.absolute()),
        "song_sha256": audio.file_hash(song),
        "result": out.name,
        "result_sha256": audio.file_hash(out),
        "took_seconds": report.took,
        "first_sound_seconds": report.first_sound,
        "timings": report.timings,
        **({} if f0_file is None else {"f0_file_sha256": audio.file_hash(f0_file)}),
    }
    write_description(out, plan, found, converter.metadata(plan), report.notes, about)
    return report


def _mixed(result: OutputBuffer, plan: ConversionPlan, stems: Stems | None) -> Mixer:
    volume = plan.volume(result)
    if stems is not None:  # as loud in the mix as it was there
        volume = volume / np.float32(plan.source.recording.mixdown.gain)
    return Mixer(result, volume, stems.backing if stems else None)


def _notes(plan: ConversionPlan, original: Recording, gain: float) -> tuple[str, ...]:
    others = tuple(note for note in original.notes if note not in plan.notes)  # of a mix that was separated
    return (*plan.notes, *others, *([f"turned down by {-20 * np.log10(gain):.1f} dB to fit"] if gain < 1 else []))
