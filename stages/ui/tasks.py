"""What worker processes do: each task takes JSON parameters and gives a JSON result, through the stages' functions."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import UserError
from ...common.progress import Progress
from ...pipeline import audio, frames
from ...pipeline.metrics.phone_agreement import PhoneGroupClassifier
from ...pipeline.slicing import Span
from ..extraction.extract import extract
from ..rendering.render import Converter
from ..rendering.source_audio import SourceAudio
from ..run import Run
from ..settings import PRESETS, ExtractSettings, RenderSettings
from ..training.train import train
from . import analysis, conversion, f0_file
from .conversion import Converters
from .corpus import report_corpus
from .export import export, write
from .schemas import JobKind, Phrase
from .worker import Channel

Params = dict[str, Any]
Task = Callable[[Params, Channel, Progress], dict[str, Any]]
Samples = NDArray[np.float32]

CONVERTERS = Converters()


def analyse(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """Look into a song that was uploaded."""
    found = analysis.analyse(Path(params["file"]), Path(params["folder"]), params["max_seconds"], progress)
    channel.item("song", fields=found)
    return {"phrases": len(found["phrases"])}


def convert(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """Convert phrases one after another; each take is told of as soon as it is there."""
    progress.say("loading the voice")
    settings = conversion.settings_of(params["settings"])
    converter = CONVERTERS.get(Path(params["run"]), settings)
    phrases = [Phrase(**phrase) for phrase in params["phrases"]]
    spans = [Span(_frame(p.start), _frame(p.end), p.joined) for p in phrases]
    song = _open_song(Path(params["file"]), spans, Path(params["f0"]))
    asked, key = conversion.target_f0(converter, song.f0, params["f0_edited"])
    listener = PhoneGroupClassifier.load()
    todo: list[tuple[int, int]] = params["todo"]
    made = 0
    with progress.bar("converting", round(sum(len(spans[n]) for n, _ in todo) / frames.MEL_FRAME_RATE, 1), "s") as bar:
        for number, seed in todo:
            channel.check()
            converter.acoustic = dataclasses.replace(converter.acoustic, seed=seed)
            segment = song.windows[number]
            wav = conversion.convert_phrase(converter, song, segment, asked)
            source = _piece(song, segment.start, segment.end)
            scores = conversion.score(listener, source, wav, asked[segment.start : segment.end])
            take = secrets.token_hex(6)
            about = {**params["about"], "settings": {**params["settings"], "seed": seed, "key": key}, "phrase": number}
            path = Path(params["folder"]) / f"{take}.flac"
            write(path, wav, f"phrase {number + 1}", about)
            channel.item(
                "take",
                id=take,
                phrase=number,
                seed=seed,
                key=key,
                start=frames.mel_seconds(segment.start),
                seconds=len(wav) / frames.MEL_RATE,
                rms_db=analysis.rms_db(wav),
                scores=scores,
                created=time.time(),
                f0_sha256=conversion.f0_hash(asked[segment.start : segment.end]),
            )
            made += 1
            bar.advance(frames.mel_seconds(len(spans[number])))
    return {"takes": made, "key": key}


def single(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """Convert a whole recording, as `svc render` does."""
    file, out = Path(params["file"]), Path(params["out"])
    analysis.check_length(file, params["max_seconds"])
    settings = RenderSettings(**params["settings"])
    report = Converter(Run.open(Path(params["run"])), settings).render(file, out, progress)
    return {"seconds": report.seconds, "key": report.key, "notes": list(report.notes)}


def prepare(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """Extract a voice's recordings into its store, and report on the corpus."""
    corpus, store = Path(params["corpus"]), Path(params["store"])
    for file in params["files"]:
        channel.check()
        analysis.check_length(Path(file), params["max_seconds"])
    store.parent.mkdir(parents=True, exist_ok=True)
    done = extract([corpus], store, ExtractSettings(encoder=params["encoder"]), progress)
    return {"report": report_corpus(store, done, progress)}


def train_voice(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """Train a voice, or go on with it."""
    settings = dataclasses.replace(PRESETS[params["preset"]], steps=params["steps"], seed=params["seed"])
    every = max(10, min(settings.validate_every, settings.steps // 8))
    settings = dataclasses.replace(settings, validate_every=params.get("validate_every") or every)
    run = Path(params["run"])
    run.parent.mkdir(parents=True, exist_ok=True)
    report = train([params["store"]], run, settings, progress=progress)
    return {"verdict": report.verdict, "steps": report.steps, "best_step": report.best_step}


def sample(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """A held-out utterance as the voice's best checkpoint converts it now."""
    from ...store import open_store

    run = Run.open(Path(params["run"]))
    converter = CONVERTERS.get(Path(params["run"]), RenderSettings())
    clip = open_store(params["store"])[run.metadata["held_out"][0]]
    file = Path(params["corpus"]) / clip.utterance.source
    if not file.is_file():
        raise UserError("the held-out recording is not there any more")
    recording = audio.scan(file)
    first, last = clip.utterance.start, min(recording.frames, clip.utterance.end)
    song = SourceAudio(recording, analysis.segments([Span(first, last)]), np.zeros(recording.frames, np.float32))
    with progress.bar("f0", 1, "s") as bar:
        song.track(converter.pitch, bar)
    asked, _ = conversion.target_f0(converter, song.f0, False)
    wav = conversion.convert_phrase(converter, song, song.windows[0], asked)
    folder = Path(params["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    about = {**params["about"], "step": converter.step}
    write(folder / f"step-{converter.step:07d}.flac", wav, f"held out, step {converter.step}", about)
    if not (folder / "recorded.flac").exists():
        write(folder / "recorded.flac", _piece(song, first, last), "as recorded", {"synthetic": False})
    return {"step": converter.step}


def _frame(seconds: float) -> int:
    return round(seconds * frames.MEL_FRAME_RATE)


def _open_song(file: Path, spans: list[Span], f0: Path) -> SourceAudio:
    recording = audio.scan(file)
    return SourceAudio(recording, analysis.segments(spans), f0_file.read(f0, recording.frames))


def _piece(song: SourceAudio, start: int, end: int) -> Samples:
    """The source's mel frames [start, end), float32 ((end - start) * 512,) at 44.1 kHz."""
    rate = song.recording.sample_rate
    return audio.resample(audio.read(song.recording, start, end), rate, frames.MEL_RATE, (end - start) * frames.MEL_HOP)


TASKS: dict[str, Task] = {
    JobKind.analyse: analyse,
    JobKind.convert: convert,
    JobKind.export: lambda params, channel, progress: export(params, progress),
    JobKind.single: single,
    JobKind.prepare: prepare,
    JobKind.train: train_voice,
    JobKind.sample: sample,
}
