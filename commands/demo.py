"""`svc demo`."""

from __future__ import annotations

from pathlib import Path

import cloup

from .group import say
from .options import PATH
from .terminal import Terminal


@cloup.command(short_help="Run everything, offline, on synthetic singers.")
@cloup.option("-o", "--out", type=PATH, default=Path("demo"), show_default=True, help="Where everything is made.")
@cloup.option("--steps", type=int, help="Training steps.  [default: what takes some minutes]")
def demo(out: Path, steps: int | None) -> None:
    """Run all commands, offline, on two synthetic singers for whom the true result is known."""
    from ..stages.demo import demo as run_demo

    for line in run_demo(out, steps, Terminal()):
        say(line)
