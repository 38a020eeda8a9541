"""`svc export`."""

from __future__ import annotations

from pathlib import Path

import cloup

from .group import checked_settings, say
from .options import PATH


@cloup.command(short_help="Write a run as ONNX files, with a program that needs no torch.")
@cloup.argument("run", type=PATH, metavar="RUN")
@cloup.argument("out", type=PATH, metavar="OUT")
@cloup.option("--vocoder", metavar="PATH", help="A run with a neural vocoder.  [default: the run's own]")
@cloup.option("--encoder", help="Where the run's encoder is now.  [default: where it was]")
@cloup.option("--retrieve/--no-retrieve", default=True, help="Write the speakers' own units too.  [default: yes]")
def export(run: Path, out: Path, vocoder: str | None, encoder: str | None, retrieve: bool) -> None:
    """Write a RUN into the folder OUT: its networks as ONNX, export.json, and sing.py, which converts a song with
    onnxruntime and numpy.
    """
    with checked_settings():
        from ..stages.export.export import Export

        found = Export.open(run, out, vocoder, encoder, retrieve)
    for path in found.write():
        say(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    for note in found.notes:
        say(f"note: {note}", err=True)
    say(f"next: pip install numpy onnxruntime soundfile; python {out / 'sing.py'} song.wav converted.wav")
