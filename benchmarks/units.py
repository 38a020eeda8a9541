"""Comparison of units: the table of `svc train --compare` on parallel singers, and each row scored as a song.

    python benchmarks/units.py demo --kinds 128,256,512,hidden --steps 600 [--formant-shifts] [--seed 0]

FOLDER gets the demo's two singers with the phones beside their phrases, and songs that both sing, which are the true
results; existing files are used again. The first table is what `--compare --truth` prints: distances of mels, both
ways.
The second renders the source's songs as the target and scores the sound, as `svc evaluate` does. With --formant-shifts
training also uses formant-shifted columns (svc extract --formant-shifts).
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from pathlib import Path

import torch
from conversion import score
from svc.common.progress import Progress
from svc.data.singers import sing
from svc.pipeline import audio
from svc.stages.evaluation.scores import References
from svc.stages.evaluation.scores import table as quality_table
from svc.stages.extraction.extract import extract
from svc.stages.parallel_singers import ParallelSingers
from svc.stages.settings import PRESETS, ExtractSettings
from svc.stages.training.compare import compare
from svc.stages.training.unit_kinds import name_of, of_kind
from svc.stages.training.unit_table import table

SINGERS = dataclasses.replace(
    ParallelSingers(), songs=("arirang", "drawn-1", "drawn-2", "drawn-3", "drawn-4", "drawn-5")
)


class PrintedProgress(Progress):
    """Prints progress as lines, without bars."""

    def say(self, message: str) -> None:
        print(message, flush=True)


def material(folder: Path, singers: ParallelSingers = SINGERS) -> tuple[Path, Path]:
    """A store of the phrases that only one singer has, and one of the songs that both sing."""
    singers.make(folder, Progress())
    for voice in singers.voices:
        for name in singers.songs:
            path = folder / "same" / voice.name / f"{name}.wav"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                audio.write(path, sing(singers.score(name), voice))
    stores = folder / "corpus.zarr", folder / "same.zarr"
    for corpus, store in zip(("corpus", "same"), stores, strict=True):
        extract([folder / corpus], store, ExtractSettings(encoder="mini"))
    return stores


def with_formant_shifts(folder: Path) -> Path:
    """The store of the songs that the singers do not share, with formant-shifted columns."""
    store = folder / "formant-shifted.zarr"
    extract([folder / "corpus"], store, ExtractSettings(encoder="mini", formant_shifts=(-4, -2, 2, 4)))
    return store


def new_parser(description: str | None, steps: int) -> argparse.ArgumentParser:
    """The arguments of a command that trains on this material."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formant-shifts", "--warps", action="store_true", help="train on formant-shifted columns too")
    return parser


def main() -> None:
    parser = new_parser(__doc__, 600)
    parser.add_argument("--kinds", default="128,256,512,768,1024,hidden")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    store, same = material(asked.folder)
    store = with_formant_shifts(asked.folder) if asked.formant_shifts else store
    settings = dataclasses.replace(PRESETS["tiny"], steps=asked.steps, seed=asked.seed)
    kinds = asked.kinds.split(",")
    out = asked.folder / f"{'formant_shifts' if asked.formant_shifts else 'plain'}-{asked.steps}-{asked.seed}"
    lines = compare([str(store)], out, settings, kinds, str(same), "cpu", PrintedProgress())
    print("\n" + "\n".join(table(lines)) + "\n", flush=True)
    truth = References(SINGERS)
    songs = [truth.song(name) for name in SINGERS.songs]
    scored = functools.partial(score, truth=truth, songs=songs)
    print(quality_table({name_of(of_kind(settings, kind)): scored(out / kind) for kind in kinds}))


if __name__ == "__main__":
    main()
