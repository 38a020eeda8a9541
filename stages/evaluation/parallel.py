"""`svc evaluate` of parallel singers: the run's rows beside the truth, and beside what trivial methods reach."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

from ... import __version__
from ...common.errors import UserError
from ...common.progress import Progress
from ...pipeline.metrics.audio_features import Samples
from ..parallel_singers import ParallelSingers
from ..rendering.run_converter import RunConverter
from ..run import Run
from ..settings import RenderSettings
from .page import Section
from .result import Evaluation, plain, safe, sung, where, write
from .scores import HEADINGS, References, Scores, misses, shown, table


def evaluate_truth(
    run: Path, singers: ParallelSingers, out: Path, device: str = "auto", progress: Progress | None = None
) -> Evaluation:
    """Have a run trained on parallel singers sing the source's songs as the target, and judge it with the truth.

    Raises:
        UserError: the run has no such speaker.
    """
    progress = progress or Progress()
    opened = Run.open(run)
    target = singers.voices[1].name
    if target not in opened.speakers:
        raise UserError(
            f"{run} has no speaker {target!r}: it was not trained on these singers; it has {opened.speakers}"
        )
    singer = RunConverter(opened, RenderSettings(speaker=target, device=device))
    out.mkdir(parents=True, exist_ok=True)
    with progress.bar("truth", 1, "pair") as bar:
        truth = References(singers)
        songs = [truth.song(name) for name in singers.songs]
        bar.advance()
    name = f"this run, step {singer.step}"
    results: dict[str, list[Samples]] = {name: []}
    for song in songs:
        results[name].append(sung(singer, song.source, out, song.name, progress)[0])
    with progress.bar("trivial methods", len(songs), "song") as bar:
        for song in songs:
            for system, make in truth.trivial().items():
                results.setdefault(system, []).append(make(song))
            bar.advance()
    scored = {
        system: [truth.judge(wav, song) for wav, song in zip(wavs, songs, strict=True)]
        for system, wavs in results.items()
    }
    rows = {system: Scores.mean(each) for system, each in scored.items()}
    gates = {gate: misses(rows[name], gate) for gate in ("G1", "G2")}
    verdicts = [
        f"{gate} ({meaning}): " + ("passed" if not gates[gate] else "not passed: " + "; ".join(gates[gate]))
        for gate, meaning in (("G1", "it converts"), ("G2", "better than anything trivial"))
    ]
    notes = [
        f"{singers.voices[0].name}'s songs sung by {target}: means over {len(songs)} songs, against what {target} "
        f"truly sings. spkA and spkB: taken for the source, for the target.",
        *verdicts,
    ]
    metadata = {
        "svc": __version__,
        "run": str(run.absolute()),
        "step": singer.step,
        "singers": asdict(singers),
        "rows": {system: plain(asdict(row)) for system, row in rows.items()},
        "songs": {
            song.name: {system: plain(asdict(each[place])) for system, each in scored.items()}
            for place, song in enumerate(songs)
        },
        "gates": {gate: {"passed": not missed, "misses": missed} for gate, missed in gates.items()},
    }
    sections = [
        Section(
            song.name,
            {system: wavs[place] for system, wavs in results.items()},
            (out / f"{song.name}.{safe(target)}.png").read_bytes(),
        )
        for place, song in enumerate(songs)
    ]
    grid = [["system", *HEADINGS.values()]]
    grid += [[system, *(shown(getattr(row, each.name)) for each in fields(Scores))] for system, row in rows.items()]
    write(out, f"{run.name}: conversion against the truth", notes, metadata, [("Means", grid)], sections)
    return Evaluation(out, [table(rows), "", *verdicts, *where(out)], metadata)
