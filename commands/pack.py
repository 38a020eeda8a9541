"""`svc pack`."""

from __future__ import annotations

from pathlib import Path

import cloup

from .group import say
from .options import PATH
from .terminal import Terminal


@cloup.command(short_help="Write a run into one file, to render with elsewhere.")
@cloup.argument("run", required=False, type=PATH, metavar="[RUN]")
@cloup.option("-o", "--out", type=PATH, metavar="FILE", help="The voice file.  [default: NAME.svc]")
@cloup.option("--licence", "--license", default="", metavar="TEXT", help="On which terms others may use the voice.")
@cloup.option(
    "--store", "stores", multiple=True, metavar="STORE", help="For an old run: where its store is now; may be repeated."
)
@cloup.option("--base", is_flag=True, help="Make a base to train from, half as large: no vocoder, no retrieval index.")
def pack(run: Path | None, out: Path | None, licence: str, stores: tuple[str, ...], base: bool) -> None:
    """Write a RUN (the newest in runs/) into one voice file: voice, vocoder, retrieval index, card and licence.

    `svc render song.wav -m FILE` renders with it on any machine, and `svc train --base FILE` begins from it. It holds
    no paths and no names of recordings.
    """
    from ..stages.pack import pack as run_pack

    for line in run_pack(run, out, licence, stores, Terminal(), base).lines():
        say(line)
