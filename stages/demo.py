"""`svc demo`: the whole way, offline, on two singers that the project makes itself and whose truth is known."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from ..common.errors import UserError
from ..common.progress import Progress
from .evaluation.parallel import evaluate_truth
from .extraction.extract import extract
from .parallel_singers import ParallelSingers
from .rendering.render_file import render_file
from .rendering.run_converter import RunConverter
from .run import Run
from .settings import PRESETS, ExtractSettings, RenderSettings
from .training.train import train

STEPS = 600
SINGERS = ParallelSingers()
MARK = "made by svc demo.txt"


def demo(out: Path, steps: int | None, progress: Progress | None = None) -> list[str]:
    """Make two singers and songs by the first, have the second sing them, and judge it. Returns what to tell.

    What is there already is used again, so that the second time is quick.

    Raises:
        UserError: `out` is a folder of something else.
    """
    progress = progress or Progress()
    begun = time.monotonic()
    if out.exists() and not (out / MARK).exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and was not made by svc demo; give another --out")
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text("Everything in this folder was made by `svc demo` and can be deleted.\n")
    source, target = SINGERS.voices
    corpus, store, run = out / "corpus", out / "corpus.zarr", out / "run"
    song = out / "songs" / f"{SINGERS.songs[0]}.wav"
    progress.say(f"making two synthetic singers and {len(SINGERS.songs)} songs in {out}")
    SINGERS.make(out, progress)
    progress.say(f"\n$ svc extract {corpus} --encoder mini")
    extract([corpus], store, ExtractSettings(encoder="mini"), progress)
    steps = steps or STEPS
    progress.say(f"\n$ svc train --store {store} --out {run} --preset tiny --steps {steps}")
    train([store], run, dataclasses.replace(PRESETS["tiny"], steps=steps), progress=progress)
    progress.say(f"\n$ svc render {song} -m {run} -s {target.name}")
    converter = RunConverter(Run.open(run), RenderSettings(speaker=target.name))
    report = render_file(converter, song, out / f"song.{target.name}.wav", progress=progress)
    progress.say(f"\n$ svc evaluate {run}")
    found = evaluate_truth(run, SINGERS, run / "evaluation", progress=progress)
    return [
        "",
        *found.lines,
        "",
        f"{report.wav}: the song that {source.name} sang, sung by {target.name} "
        f"({time.monotonic() - begun:.0f} s for everything)",
        f"{report.wav.with_suffix('.png')}: both as pictures; {run / 'held_out.png'}: what training reached",
        "The singers are synthetic, and the encoder was mini, which is small. For your own voices take a larger one: "
        "svc extract corpus/ --encoder en",
    ]
