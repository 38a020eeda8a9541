"""How settings change a conversion: measures on parallel singers (A -> B), a row for each setting.

    python benchmarks/conversion.py demo/run --render steps=2,5,20 --render retrieve=0,0.5,1
    python benchmarks/conversion.py demo/run --train units=soft,hidden --train objective=flow,ddpm --steps 600
    python benchmarks/conversion.py demo/run --render retrieve=0,0.5,1 --language en
    python benchmarks/conversion.py demo/run --render retrieve=0,1 --own

RUN is one that `svc demo` made, with its singers.json and store. Settings of RenderSettings are tried on it; for those
of TrainSettings a run is trained beside it, from its store and its other settings. One setting is varied at a time. The
table is that of docs/quality.md. With --language the generated songs are in another language than the corpus. With
--own the target's own singing of the songs is converted to the target: the loss by encoder, model and vocoder without a
change of voice.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import torch
from svc.pipeline.diffusion.shape import Architecture
from svc.pipeline.frames import MEL_RATE
from svc.stages.evaluation.scores import ParallelSong, References, Scores, table
from svc.stages.parallel_singers import ParallelSingers, singers_of
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.run import Run
from svc.stages.run_stores import recorded_locations
from svc.stages.settings import RenderSettings, TrainSettings
from svc.stages.settings.choice import replaced
from svc.stages.training.train import train


def values(text: str, *settings: type) -> tuple[str, list[Any]]:
    """`name=a,b` as the name of a setting and its values, of the type that its default has, or as they look."""
    name, _, given = text.partition("=")
    default = {field.name: field.default for kind in settings for field in dataclasses.fields(kind)}[name]
    kinds = [int, float, str] if default is None or isinstance(default, int) else [type(default)]
    return name, [
        next(found for kind in kinds if (found := _read(value, kind)) is not None) for value in given.split(",")
    ]


def _read(value: str, kind: type) -> Any:
    try:
        return kind(value)
    except ValueError:
        return None


def singers_beside(run: Path, parser: argparse.ArgumentParser) -> ParallelSingers:
    """The parallel singers of a run of `svc demo`; a usage error if there are none."""
    described = singers_of(run)
    if described is None:
        parser.error(f"{run} has no singers.json beside it; svc demo makes one")
    return ParallelSingers.open(described)


def score(run: Path, truth: References, songs: list[ParallelSong], own: bool = False, **settings: Any) -> Scores:
    """A run's row with those render settings; `own`: of the target's own songs, converted to the target."""
    converter = RunConverter(Run.open(run), RenderSettings(speaker=truth.target.name, **settings))
    results = [converter.convert(song.target if own else song.source, MEL_RATE, measured=False) for song in songs]
    return Scores.mean([truth.score(result.samples, song) for result, song in zip(results, songs, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--render", action="append", default=[], metavar="NAME=A,B")
    parser.add_argument("--train", action="append", default=[], metavar="NAME=A,B")
    parser.add_argument("--steps", type=int, help="of each training  [default: the run's]")
    parser.add_argument("--songs", type=int, help="how many of them  [default: all]")
    parser.add_argument("--language", choices=["en", "ko", "ja"], help="of the songs  [default: the corpus's]")
    parser.add_argument("--own", action="store_true", help="sing the target's own singing of the songs")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    singers = singers_beside(asked.run, parser)
    if asked.language:
        made_up = tuple(name for name in singers.songs if name.startswith("drawn"))
        singers = dataclasses.replace(singers, language=asked.language, songs=made_up)
    truth = References(singers)
    songs = [truth.song(name) for name in singers.songs[: asked.songs]]
    rows: dict[str, Scores] = {}
    for name, choices in (values(text, RenderSettings) for text in asked.render):
        for value in choices:
            rows[f"{name} {value}"] = score(asked.run, truth, songs, asked.own, **{name: value})
            print(table({f"{name} {value}": rows[f"{name} {value}"]}).splitlines()[-1], flush=True)
    run = Run.open(asked.run)
    base = run.config.settings
    base = dataclasses.replace(base, steps=asked.steps or base.steps)
    for name, choices in (values(text, TrainSettings, Architecture) for text in asked.train):
        for value in choices:
            out = asked.run.parent / f"{asked.run.name}-{name}-{value}"
            train(recorded_locations(run), out, replaced(base, {name: value}))
            rows[f"{name} {value}"] = score(out, truth, songs, asked.own)
            print(table({f"{name} {value}": rows[f"{name} {value}"]}).splitlines()[-1], flush=True)
    print("\n" + table(rows))


if __name__ == "__main__":
    main()
