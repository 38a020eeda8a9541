"""`svc render` of one song: a file in, a file out, with a description and a picture beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...common.errors import UserError
from ...common.progress import Progress
from ...pipeline import audio
from ...pipeline.audio import AudioError, Recording
from ..settings import RenderSettings
from . import f0_file as f0_files
from . import provenance
from .claim import claimed
from .converter import ConversionPlan, Converter, OnAudio, Tenth
from .formats import choose_format
from .input_song import opened_song
from .limiter import limited
from .measurement import Measurement, measure
from .midi_file import MidiChoice
from .mixer import Mixer
from .output_buffer import OutputBuffer
from .output_paths import STANDARD, check_writable, picture_path
from .render_report import RenderReport
from .result_files import draw, write_description
from .separation import Stems, separate
from .source_audio import SourceAudio
from .stopwatch import Stopwatch
from .writing import SourceLength, write_output


@dataclass(frozen=True)
class _Song:
    """A decoded song, its separated voice if requested, and the rest of the mix."""

    file: Path
    sha256: str
    recording: Recording
    source: SourceAudio
    stems: Stems | None


def render_file(
    converter: Converter,
    song: Path,
    out: Path,
    settings: RenderSettings | None = None,
    progress: Progress | None = None,
    on_audio: OnAudio | None = None,
    f0_file: Path | None = None,
    midi: MidiChoice | None = None,
    suffix: str | None = None,
) -> RenderReport:
    """Convert a song of any length in bounded memory.

    Writes `out`, then its description beside it, and then its picture.

    Args:
        converter: what converts.
        song: a recording that pipeline.audio reads; `-` is standard input.
        out: ends in one of `formats.FORMATS`; `-` is standard output, which gets the sound alone.
        settings: the converter's own, where left out.
        progress: is given a bar.
        on_audio: called with each piece of sound as soon as it is there, before loudness, mixing and peaks.
        f0_file: the song's f0, in place of the one that is tracked; it is neither corrected nor smoothed.
        midi: the melody of a MIDI `f0_file`.
        suffix: the format, if `out` has no ending.

    Raises:
        AudioError: the song cannot be used.
        UserError: `out` cannot be written, is a file that svc did not make, or is being written by another svc.
    """
    progress, watch = progress or Progress(), Stopwatch()
    if settings is None:
        settings = converter.settings if isinstance(converter.settings, RenderSettings) else RenderSettings()
    with claimed(out), ExitStack() as opened:
        file = opened.enter_context(opened_song(song))
        check_writable(out, song)
        choose_format(suffix or out.suffix, settings.bit_depth, settings.rate)
        folder = None if out == STANDARD else out.parent
        with _naming(out):
            read = opened.enter_context(_read(converter, file, folder, settings, progress, watch))
            result = OutputBuffer(read.source.samples, folder)
            opened.callback(result.close)
            with progress.bar(song.name, round(1.1 * read.source.seconds_converted, 1), "s") as bar:
                f0 = None if f0_file is None else f0_files.read(f0_file, read.source.frames, midi)
                plan = converter.plan(converter.analyse(read.source, settings, Tenth(bar), watch), settings, f0)
                converter.fill(result, plan, watch, bar, on_audio)
        with watch("writing"):
            length = SourceLength(read.recording.samples, read.recording.sample_rate)
            tags = provenance.about(converter.metadata(plan), plan.target.key)
            # A separated voice must be as loud in the mix as it was there.
            mixing = plan.mixing(result, read.source.recording.mixdown.gain if read.stems else 1.0)
            mixer = Mixer(result, mixing.volume, read.stems.backing if read.stems else None, mixing.noise)
            limiter = write_output(mixer, out, settings, length, suffix, tags)
        delivered = watch.total
        with watch("measuring"):
            found = measure(result, read.source, plan.target.f0)
        notes = (*_notes(plan, read.recording), *mixing.notes, *limited(limiter), *map(str, found.notable()))
        report = _report(converter, plan, found, notes, watch, song, out)
        report = replace(report, seconds=read.recording.seconds, delivered=round(delivered, 2))
        hashes = {"song_sha256": read.sha256}
        if f0_file is not None:
            hashes["f0_file_sha256"] = audio.file_hash(f0_file)
        return _described(converter, plan, found, report, hashes, settings.picture, watch)


@contextmanager
def _naming(out: Path) -> Iterator[None]:
    """Adds the output's path to errors of a full disk: temporary files lie beside it."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error


@contextmanager
def _read(
    converter: Converter,
    file: Path,
    folder: Path | None,
    settings: RenderSettings,
    progress: Progress,
    watch: Stopwatch,
) -> Iterator[_Song]:
    """Decode a song once, and separate its voice if requested."""
    with ExitStack() as opened:
        with watch("decoding and slicing"):
            before = file.stat()
            sha256 = audio.file_hash(file)
            decoded = audio.decode(file, folder)
            opened.callback(decoded.close)
            after = file.stat()
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise AudioError("changed while it was read; render it again")
            recording = audio.scan(decoded)
        stems = None
        if settings.separate:
            with watch("separation"):
                stems = separate(decoded, folder, settings.device, progress)
                opened.callback(stems.close)
        with watch("decoding and slicing"):
            voice = audio.scan(stems.voice) if stems else recording
            source = converter.cut(voice, settings)
        yield _Song(file, sha256, recording, source, stems)


def _notes(plan: ConversionPlan, recording: Recording) -> tuple[str, ...]:
    others = tuple(note for note in recording.notes if note not in plan.notes)  # of a mix that was separated
    return (*plan.notes, *others)


def _report(
    converter: Converter,
    plan: ConversionPlan,
    found: Measurement,
    notes: tuple[str, ...],
    watch: Stopwatch,
    song: Path,
    out: Path,
) -> RenderReport:
    return RenderReport(
        song=song,
        wav=out,
        picture=None,
        speaker=converter.speaker(plan.settings),
        key=plan.target.key,
        seconds=plan.source.recording.seconds,
        took=round(watch.total, 2),
        delivered=round(watch.total, 2),
        **found.figures(),
        notes=notes,
        timings=watch.table(),
        first_sound=watch.first_sound and round(watch.first_sound, 2),
    )


def _described(
    converter: Converter,
    plan: ConversionPlan,
    found: Measurement,
    report: RenderReport,
    hashes: dict[str, str],
    picture: bool,
    watch: Stopwatch,
) -> RenderReport:
    """Write the description, then draw the picture, then add the time of drawing to the description."""
    if report.wav == STANDARD:
        return report
    about: dict[str, Any] = {
        "song": str(report.song if report.song == STANDARD else report.song.absolute()),
        **hashes,
        "result": report.wav.name,
        "result_sha256": audio.file_hash(report.wav),
    }
    converted_by = converter.metadata(plan)

    def write() -> None:
        times = {
            "took_seconds": report.took,
            "delivered_seconds": report.delivered,
            "first_sound_seconds": report.first_sound,
            "timings": report.timings,
        }
        write_description(report.wav, plan, found, converted_by, report.notes, {**about, **times})

    write()
    if picture:
        path = picture_path(report.wav)
        with watch("picture"):
            title = f"{report.wav.name} ({report.speaker}, {report.key:+g} semitones)"
            draw(plan, found, report.song.name, title, path)
        report = replace(report, picture=path, took=round(watch.total, 2), timings=watch.table())
        write()
    return report
