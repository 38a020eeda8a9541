"""`svc render --parts`: several voices over stems or parts of one song, mixed in one render."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...common.errors import UserError
from ...common.files import write_whole
from ...common.progress import Progress
from ...common.text import clock
from ...pipeline import audio, frames
from ...pipeline.audio import Recording
from ...pipeline.sample_buffer import SampleBuffer
from ..run import Run, newest_run
from ..settings import RenderSettings
from . import f0_file, provenance
from .claim import claimed
from .converter import ConversionPlan, Converter, Tenth
from .formats import FORMATS, choose_format, parse_format
from .input_song import check_song, naming
from .limiter import limited
from .measurement import measure
from .mixer import Mixer
from .output_buffer import OutputBuffer
from .output_paths import MADE_BY, STANDARD, check_writable, description_path
from .parts_file import Part, read_parts
from .parts_mix import PartsMix, PartTrack, WholeTrack
from .run_converter import RunConverter
from .separation import stereo_blocks
from .songs import check_f0_file
from .source_audio import SourceAudio
from .speaker_mix import SpeakerMix
from .stopwatch import Stopwatch
from .writing import Blocks, SourceLength, write_output


@dataclass(frozen=True)
class PartReport:
    """The result of one part: a sentence about it, notes for the user, and everything that its sound depends on, as
    JSON.
    """

    summary: str
    notes: tuple[str, ...]
    about: dict[str, Any]


@dataclass(frozen=True)
class PartsReport:
    """The result of a mix of parts."""

    wav: Path
    seconds: float
    took: float
    parts: tuple[PartReport, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report as text."""
        said = []
        for part in self.parts:
            said += [f"  {part.summary}", *(f"    {note}" for note in part.notes)]
        said += [f"  {note}" for note in self.notes]
        return [*said, f"{self.wav}: {self.seconds:.1f} s in {self.took:.1f} s"]


@dataclass
class PartsBatch:
    """Parts to convert and mix into `out`.

    `converters` holds one for each part, None for parts that are mixed unchanged.
    """

    parts: list[Part]
    converters: list[Converter | None]
    out: Path
    settings: RenderSettings

    @classmethod
    def open(
        cls,
        file: Path,
        settings: RenderSettings,
        model: Path | None = None,
        output: Path | None = None,
        suffix: str = "wav",
    ) -> PartsBatch:
        """Check all arguments before anything is loaded or computed, and then load the runs.

        Args:
            file: see parts_file.
            settings: of parts without their own; bit depth and rate of the mix.
            model: the run of parts that name none; None takes the newest in runs/.
            output: the result, or a folder; None writes `FILE.mix.wav` beside the file.
            suffix: the format, unless `output` ends in one.

        Raises:
            UserError: the file, a run or the output cannot be used.
            AudioError: a song is not there.
        """
        parts = read_parts(file, settings)
        out = _output(file, output, parse_format(suffix))
        check_writable(out)
        choose_format(out.suffix, settings.bit_depth, settings.rate)
        for part in parts:
            with naming(part.song):
                check_song(part.song)
            check_f0_file(part.f0_file, 1)
        runs = [Run.open(part.model or model or newest_run()) if part.sing else None for part in parts]
        for part, run in zip(parts, runs, strict=True):
            if run is not None:
                SpeakerMix.parse(part.settings.speaker or run.speakers[0], run.speakers)
        loaded: dict[Path, RunConverter] = {}
        converters: list[Converter | None] = []
        for part, run in zip(parts, runs, strict=True):
            if run is not None and run.path not in loaded:
                loaded[run.path] = RunConverter(run, part.settings)
            if run is not None:  # refuse a part's settings before others are converted
                loaded[run.path].sampling(part.settings)
                loaded[run.path].voice(part.settings)
            converters.append(None if run is None else loaded[run.path])
        return cls(parts, converters, out, settings)

    def render(self, progress: Progress | None = None) -> PartsReport:
        """Convert the parts one after the other, mix them, and write the result and its description.

        Raises:
            AudioError: a song cannot be used.
            UserError: the output cannot be written, or is being written by another svc.
        """
        watch = Stopwatch()
        with claimed(self.out), ExitStack() as opened:
            done = [
                _PartConversion(part, converter, self.out.parent, opened).run(progress or Progress(), watch)
                for part, converter in zip(self.parts, self.converters, strict=True)
            ]
            longest = max((recording for _, recording, _ in done), key=lambda recording: recording.seconds)
            with watch("writing"):
                tags = {"parts": [report.about.get("made_by", {}) for _, _, report in done]}
                limiter = write_output(
                    PartsMix([track for track, _, _ in done]),
                    self.out,
                    self.settings,
                    SourceLength(longest.samples, longest.sample_rate),
                    about=tags,
                )
            reports = tuple(report for _, _, report in done)
            report = PartsReport(self.out, longest.seconds, round(watch.total, 2), reports, tuple(limited(limiter)))
            _describe(report, watch)
            return report


@dataclass(frozen=True)
class _PartConversion:
    """One part while it is converted. Its files are closed with `opened`."""

    part: Part
    converter: Converter | None
    folder: Path
    opened: ExitStack

    def run(self, progress: Progress, watch: Stopwatch) -> tuple[PartTrack, Recording, PartReport]:
        part = self.part
        with watch("decoding and slicing"), naming(part.song):
            sha256 = audio.file_hash(part.song)
            decoded = audio.decode(part.song, self.folder)
            self.opened.callback(decoded.close)
            recording = audio.scan(decoded)
        about = {
            "song": str(part.song.absolute()),
            "song_sha256": sha256,
            "sing": part.sing,
            **({"f0_file": str(part.f0_file.absolute())} if part.f0_file else {}),
            "gain_db": part.gain_db,
            "start": part.start,
            "end": part.end,
        }
        blocks: Blocks
        if self.converter is None:
            blocks, report = self._whole(decoded), PartReport(f"{part.song.name} as it is{self._times()}", (), about)
        else:
            source = self.converter.cut(recording, part.settings)
            blocks, report = self._converted(self.converter, source, about, progress, watch)
        return PartTrack(blocks, part.gain_db, part.start, part.end), recording, report

    def _whole(self, decoded: SampleBuffer) -> Blocks:
        sound = SampleBuffer(frames.MEL_RATE, 2, self.folder)
        self.opened.callback(sound.close)
        for pair, _ in stereo_blocks(decoded):
            sound.append(pair.T)
        return WholeTrack(sound)

    def _converted(
        self, converter: Converter, source: SourceAudio, about: dict[str, Any], progress: Progress, watch: Stopwatch
    ) -> tuple[Blocks, PartReport]:
        part, result = self.part, OutputBuffer(source.samples, self.folder)
        self.opened.callback(result.close)
        phrases = _phrases(source, part)
        with progress.bar(part.song.name, round(1.1 * source.seconds_converted, 1), "s") as bar:
            f0 = f0_file.read(part.f0_file, source.frames) if part.f0_file else None
            plan = converter.plan(converter.analyse(source, part.settings, Tenth(bar), watch), part.settings, f0)
            converter.fill(result, plan, watch, bar, phrases=phrases)
        mixing = plan.mixing(result, source.recording.mixdown.gain)
        with watch("measuring"):
            found = measure(result, source, _asked(plan, phrases))
        speaker, within = converter.speaker(plan.settings), found.within(20)
        in_tune = "nothing in it is voiced" if within is None else f"{within:.1%} of voiced frames within 20 cents"
        summary = f"{part.song.name} as {speaker}, key {plan.target.key:+g}{self._times()}: {in_tune}"
        notes = (*plan.notes, *mixing.notes, *map(str, found.notable()))
        metadata = converter.metadata(plan)
        about = {
            **about,
            "key": plan.target.key,
            "settings": asdict(plan.settings),
            **metadata,
            "made_by": provenance.about(metadata, plan.target.key),
            "f0": found.describe(),
            "notes": list(notes),
        }
        return Mixer(result, mixing.volume, noise=mixing.noise), PartReport(summary, notes, about)

    def _times(self) -> str:
        if self.part.end is not None:
            return f", {clock(self.part.start)}-{clock(self.part.end)}"
        return f", from {clock(self.part.start)}" if self.part.start else ""


def _phrases(source: SourceAudio, part: Part) -> list[int]:
    """The numbers of the phrases within a part's time."""
    end = np.inf if part.end is None else part.end
    return [
        phrase.number
        for phrase in source.phrases
        if frames.mel_seconds(phrase.end) > part.start and frames.mel_seconds(phrase.start) < end
    ]


def _asked(plan: ConversionPlan, phrases: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The target f0 in Hz of the phrases that are converted, 0 elsewhere: float32 (frames,)."""
    asked = np.zeros_like(plan.target.f0)
    for phrase in plan.source.phrases:
        if phrase.number in phrases:
            asked[phrase.start : phrase.end] = plan.target.f0[phrase.start : phrase.end]
    return asked


def _output(file: Path, output: Path | None, suffix: str) -> Path:
    if output == STANDARD:
        return output
    if output is None:
        return file.with_suffix(f".mix{suffix}")  # beside it lies a .json, which must not be the file
    if output.is_dir():
        return output / f"{file.stem}{suffix}"
    if output.suffix.lower() not in FORMATS:
        raise UserError(f"{output} does not end in {', '.join(FORMATS)}, and is no folder that exists")
    return output


def _describe(report: PartsReport, watch: Stopwatch) -> None:
    if report.wav == STANDARD:
        return
    description = {
        "svc": __version__,
        "made": MADE_BY,
        "result": report.wav.name,
        "result_sha256": audio.file_hash(report.wav),
        "seconds": report.seconds,
        "took_seconds": report.took,
        "timings": watch.table(),
        "parts": [part.about for part in report.parts],
        "notes": list(report.notes),
    }
    text = json.dumps(description, indent=1, ensure_ascii=False)
    write_whole(description_path(report.wav), text.encode())
