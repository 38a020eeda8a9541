"""Tasks of worker processes: each takes JSON parameters and returns a JSON result, by calling functions of stages."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...common.errors import SvcError, UserError
from ...common.progress import Bar, Progress
from ...pipeline import audio, frames
from ...pipeline.metrics.phone_agreement import PhoneGroupClassifier
from ...pipeline.slicing import Span
from ..extraction.extract import extract
from ..rendering import f0_file
from ..rendering.converter import ConversionPlan, Converter
from ..rendering.parts_file import parse_parts
from ..rendering.render_file import render_file
from ..rendering.render_parts import PartsBatch
from ..rendering.run_converter import RunConverter
from ..run import Run
from ..settings import PRESETS, ExtractSettings, RenderSettings
from ..training.plan import default_units
from ..training.train import train
from . import analysis, conversion
from .channel import Channel
from .conversion import ConverterCache, SongCache
from .corpus import report_corpus
from .export import export, write_take
from .schemas import JobKind, Phrase

Params = dict[str, Any]
Task = Callable[[Params, Channel, Progress], dict[str, Any]]

CONVERTERS, SONGS = ConverterCache(), SongCache()


def analyse(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """Analyse an uploaded song."""
    found = analysis.analyse(Path(params["file"]), Path(params["folder"]), params["max_seconds"], SONGS, progress)
    channel.item("song", fields=found)
    if params["voice"]:  # the next job is probably a conversion: the voice is loaded while the user looks at the song
        progress.say("loading the voice")
        with contextlib.suppress(SvcError):
            CONVERTERS.get(Path(params["voice"]))
    return {"phrases": len(found["phrases"])}


def convert(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """Convert phrases one after another; each take is reported as soon as it is there."""
    progress.say("loading the voice")
    converter = CONVERTERS.get(Path(params["run"]))
    phrases = [Phrase(**phrase) for phrase in params["phrases"]]
    spans = [Span(_frame(p.start), _frame(p.end), p.joined) for p in phrases]
    todo: list[tuple[int, int]] = params["todo"]
    total = round(sum(len(spans[number]) for number, _ in todo) / frames.MEL_FRAME_RATE, 1)
    with progress.bar("converting", total, "s") as bar:
        features = SONGS.get(Path(params["file"]), spans, SilentBar())
        f0 = f0_file.read(Path(params["f0"]), features.source.frames)
        listener = PhoneGroupClassifier.load()
        for number, seed in todo:
            channel.check()
            settings = conversion.settings_of(params["settings"], seed)
            plan = conversion.plan_of(converter, features, settings, f0, params["f0_edited"])
            _take(params, channel, converter, plan, number, listener)
            bar.advance(frames.mel_seconds(len(spans[number])))
    return {"takes": len(todo)}


def _take(
    params: Params,
    channel: Channel,
    converter: RunConverter,
    plan: ConversionPlan,
    number: int,
    listener: PhoneGroupClassifier,
) -> None:
    """Convert one phrase once, score it, write it."""
    phrase, seed, key = plan.source.phrases[number], plan.settings.seed, plan.target.key
    wav, asked = conversion.convert_phrase(converter, plan, number), plan.target.f0[phrase.start : phrase.end]
    take = secrets.token_hex(6)
    about = {
        **params["about"],
        "run_sha256": converter.run_hash,
        "settings": {**params["settings"], "seed": seed, "key": key},
        "phrase": number,
    }
    write_take(Path(params["folder"]) / f"{take}.flac", wav, f"phrase {number + 1}", about)
    channel.item(
        "take",
        id=take,
        phrase=number,
        seed=seed,
        key=key,
        start=frames.mel_seconds(phrase.start),
        seconds=len(wav) / frames.MEL_RATE,
        rms_db=analysis.rms_db(wav),
        scores=conversion.score(listener, conversion.source_of(plan, number), wav, asked),
        created=time.time(),
        run_sha256=converter.run_hash,
        f0_sha256=conversion.f0_hash(asked),
    )


def render(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """Render all parts of a song at once, as `svc render --parts` does."""
    progress.say("loading the voices")
    out = Path(params["out"])
    settings = RenderSettings(bit_depth="24" if out.suffix in (".wav", ".flac") else "16")
    parts = parse_parts(params["parts"], "the song", out.parent, settings)
    converters: list[Converter | None] = [CONVERTERS.get(part.model) if part.model else None for part in parts]
    report = PartsBatch(parts, converters, out, settings).render(progress)
    return {"bytes": out.stat().st_size, "seconds": report.seconds, "notes": report.lines()[:-1]}


def single(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """Convert a whole recording, as `svc render` does."""
    file, out = Path(params["file"]), Path(params["out"])
    analysis.check_length(file, params["max_seconds"])
    settings = RenderSettings(**params["settings"])
    report = render_file(CONVERTERS.get(Path(params["run"])), file, out, settings, progress)
    return {"seconds": report.seconds, "key": report.key, "notes": list(report.notes)}


def prepare(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """Extract a voice's recordings into its store, and report on the corpus."""
    corpus, store = Path(params["corpus"]), Path(params["store"])
    for file in params["files"]:
        channel.check()
        analysis.check_length(Path(file), params["max_seconds"])
    store.parent.mkdir(parents=True, exist_ok=True)
    extract([corpus], store, ExtractSettings(encoder=params["encoder"], formant_shifts=None), progress)
    return {"report": report_corpus(store, progress)}


def train_voice(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """Train a voice, or continue its training."""
    run = Path(params["run"])
    units = default_units(params["preset"], params["store"], run)
    settings = dataclasses.replace(PRESETS[params["preset"]], units=units, steps=params["steps"], seed=params["seed"])
    every = max(10, min(settings.validate_every, settings.steps // 8))
    settings = dataclasses.replace(settings, validate_every=params.get("validate_every") or every)
    run.parent.mkdir(parents=True, exist_ok=True)
    report = train([params["store"]], run, settings, progress=progress)
    verdict = report.verdict
    assert verdict is not None
    advice = {"trend": verdict.trend, "since_step": verdict.since_step, "more_steps": verdict.more_steps}
    return {"verdict": str(verdict), "advice": advice, "steps": report.steps, "best_step": report.best_step}


def sample(params: Params, channel: Channel, progress: Progress) -> dict[str, Any]:
    """A held-out utterance as the voice's best checkpoint converts it now."""
    from ...store import open_store

    run = Run.open(Path(params["run"]))
    converter = CONVERTERS.get(Path(params["run"]))
    clip = open_store(params["store"])[held_out(run)]
    file = Path(params["corpus"]) / clip.utterance.source
    if not file.is_file():
        raise UserError("the held-out recording is not there any more")
    recording = audio.scan(audio.decode(file))
    span = Span(clip.utterance.start, min(recording.frames, clip.utterance.end))
    source = conversion.one_by_one(recording, [span])
    plan = converter.plan(converter.analyse(source), RenderSettings())
    folder = Path(params["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    about = {**params["about"], "step": converter.step}
    wav = conversion.convert_phrase(converter, plan, 0)
    write_take(folder / f"step-{converter.step:07d}.flac", wav, f"held out, step {converter.step}", about)
    if not (folder / "recorded.flac").exists():
        write_take(folder / "recorded.flac", conversion.source_of(plan, 0), "as recorded", {"synthetic": False})
    return {"step": converter.step}


def held_out(run: Run) -> str:
    """The id of the utterance for the example."""
    return run.config.held_out[0]


def _frame(seconds: float) -> int:
    return round(seconds * frames.MEL_FRAME_RATE)


class SilentBar(Bar):
    """A bar that shows nothing."""

    def advance(self, amount: float = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass


TASKS: dict[str, Task] = {
    JobKind.analyse: analyse,
    JobKind.convert: convert,
    JobKind.export: lambda params, channel, progress: export(params, progress),
    JobKind.render: render,
    JobKind.single: single,
    JobKind.prepare: prepare,
    JobKind.train: train_voice,
    JobKind.sample: sample,
}
