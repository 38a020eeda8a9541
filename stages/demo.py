"""`svc demo`: all commands, offline, on two synthetic singers for whom the true result is known.

At the end the song is also converted to a real voice, from a clip of 21 s that ships (data/voices), without training.
"""

from __future__ import annotations

import dataclasses
import time
from importlib.resources import files
from pathlib import Path

from ..common.errors import UserError
from ..common.progress import Progress
from .evaluation.parallel import evaluate_truth
from .extraction.extract import extract
from .parallel_singers import ParallelSingers
from .rendering.clip_converter import ClipConverter
from .rendering.render_file import render_file
from .rendering.run_converter import RunConverter
from .run import Run
from .settings import AUTO_BASE, PRESETS, ExtractSettings, RenderSettings
from .training.train import train

STEPS = 600
SINGERS = ParallelSingers()
MARK = "made by svc demo.txt"
VOICE = "kathleen.opus"  # in data/voices


def demo(out: Path, steps: int | None, progress: Progress | None = None) -> list[str]:
    """Make two singers and songs by the first, convert them to the second, and evaluate. Returns lines to print.

    Existing files are used again, so that a second call is quick.

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
    settings = dataclasses.replace(PRESETS["tiny"], steps=steps)
    train([store], run, settings, progress=progress, init_from=AUTO_BASE)
    progress.say(f"\n$ svc render {song} -m {run} -s {target.name}")
    converter = RunConverter(Run.open(run), RenderSettings(speaker=target.name))
    report = render_file(converter, song, out / f"song.{target.name}.wav", progress=progress)
    progress.say(f"\n$ svc evaluate {run}")
    found = evaluate_truth(run, SINGERS, run / "evaluation", progress=progress)
    clip = Path(str(files("svc.data") / "voices" / VOICE))
    progress.say(f"\n$ svc render {song} --voice {clip.name}")
    real = out / f"song.{clip.stem}.wav"
    render_file(ClipConverter([clip], RenderSettings(), progress), song, real, progress=progress)
    return [
        "",
        *found.lines,
        "",
        f"{report.wav}: the song that {source.name} sang, sung by {target.name} "
        f"({time.monotonic() - begun:.0f} s for everything)",
        f"{real}: the same song by a real voice, {clip.stem}, from a clip of 21 s and without training",
        f"{report.wav.with_suffix('.png')}: both as pictures; {run / 'held_out.png'}: what training reached",
        "The singers are synthetic, and the encoder was mini, which is small. For your own voices take a larger one: "
        "svc extract corpus/ --encoder en",
    ]
