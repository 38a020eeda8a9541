"""The command line: `svc`, and the commands in it."""

from __future__ import annotations

import cloup

from . import __version__
from .commands.compact import compact
from .commands.demo import demo
from .commands.evaluate import evaluate
from .commands.export import export
from .commands.extract import extract
from .commands.group import EXIT_CODES, FORMATTER, CommandGroup
from .commands.inspect import inspect
from .commands.live import live
from .commands.pack import pack
from .commands.render import render
from .commands.train import train
from .commands.ui import ui
from .commands.verify import verify


@cloup.group(
    cls=CommandGroup,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "formatter_settings": FORMATTER},
)
@cloup.version_option(__version__, prog_name="svc")
def main() -> None:
    """Singing voice conversion in two stages.

    svc extract corpus/, svc train --store corpus.zarr, svc render song.wav
    """


main.section("From recordings to a converted song", extract, train, render, live, ui, export)
main.section("Look at, measure and keep", inspect, evaluate, pack, verify, compact, demo)

if __name__ == "__main__":  # accelerate launch -m svc.cli
    main()
