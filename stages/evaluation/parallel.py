"""`svc evaluate` of parallel singers: the run compared with the true result and with systems without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ... import __version__
from ...common.errors import UserError
from ...common.files import make_folder
from ...common.progress import Progress
from ...common.text import count
from ...pipeline.metrics.audio_features import Samples
from ..parallel_singers import ParallelSingers
from ..rendering.run_converter import RunConverter
from ..run import Run
from ..settings import RenderSettings
from .page import Report, Section
from .result import MADE_BY, Evaluation, check_out, converted, plain, safe, write
from .scores import GATES, ParallelSong, References, Scores, misses, score_table
from .verdict import gate_verdicts


def evaluate_truth(
    run: Path, singers: ParallelSingers, out: Path, device: str = "auto", progress: Progress | None = None
) -> Evaluation:
    """Convert the source's songs with a run that was trained on parallel singers, and compare with the true results.

    Raises:
        UserError: the run has no such speaker, or `out` holds files of the user's.
    """
    progress = progress or Progress()
    check_out(out)
    opened = Run.open(run)
    target = singers.voices[1].name
    if target not in opened.speakers:
        raise UserError(
            f"{run} has no speaker {target!r}: it was not trained on these singers; it has {', '.join(opened.speakers)}"
        )
    converter = RunConverter(opened, RenderSettings(speaker=target, device=device))
    make_folder(out)
    with progress.bar("true results", 1, "pair") as bar:
        references = References(singers)
        songs = [references.song(name) for name in singers.songs]
        bar.advance()
    name = f"this run, step {converter.step}"
    results = {name: [converted(converter, song.source, out, song.name, progress)[0] for song in songs]}
    results |= _trivial(references, songs, progress)
    scored = {
        system: [references.score(wav, song) for wav, song in zip(wavs, songs, strict=True)]
        for system, wavs in results.items()
    }
    rows = {system: Scores.mean(each) for system, each in scored.items()}
    missed = {gate: misses(rows[name], gate) for gate in GATES}
    metadata = {
        "svc": __version__,
        "run": str(run.absolute()),
        "step": converter.step,
        "singers": asdict(singers),
        **_figures(rows, scored, songs),
        "gates": {gate: {"passed": not conditions, "misses": conditions} for gate, conditions in missed.items()},
    }
    source = singers.voices[0].name
    report = Report(
        title=f"{opened.name}: {source}'s songs as {target}",
        facts=converter.about(),
        verdict=gate_verdicts(missed),
        notes=[f"Means over {count(len(songs), 'song')}, compared with {target}'s own singing."],
        tables=[score_table(rows, "Beside the true result", marked=0)],
        sections=_sections(songs, results, out, target),
        terms=tuple(GATES),
    )
    where = write(out, report, metadata)
    lines = [*report.tables[0].markdown(), "", *report.verdict, *where]
    return Evaluation(out, lines, {"made": MADE_BY, **metadata})


def _trivial(references: References, songs: Sequence[ParallelSong], progress: Progress) -> dict[str, list[Samples]]:
    """The results of the systems to print beside a run, by system."""
    results: dict[str, list[Samples]] = {}
    with progress.bar("systems without training", len(songs), "song") as bar:
        for song in songs:
            for system, make in references.trivial().items():
                results.setdefault(system, []).append(make(song))
            bar.advance()
    return results


def _figures(
    rows: Mapping[str, Scores], scored: Mapping[str, Sequence[Scores]], songs: Sequence[ParallelSong]
) -> dict[str, Any]:
    return {
        "rows": {system: plain(asdict(row)) for system, row in rows.items()},
        "songs": {
            song.name: {system: plain(asdict(each[place])) for system, each in scored.items()}
            for place, song in enumerate(songs)
        },
    }


def _sections(
    songs: Sequence[ParallelSong], results: Mapping[str, Sequence[Samples]], out: Path, target: str
) -> list[Section]:
    return [
        Section(
            song.name,
            {system: wavs[place] for system, wavs in results.items()},
            (out / f"{song.name}.{safe(target)}.png").read_bytes(),
        )
        for place, song in enumerate(songs)
    ]
