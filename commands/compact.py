"""`svc compact`."""

from __future__ import annotations

import cloup

from .group import say
from .terminal import Terminal


@cloup.command(short_help="Free the room of removed recordings in a store.")
@cloup.argument("store", metavar="STORE")
def compact(store: str) -> None:
    """Drop what removed and changed recordings left in a STORE, and merge small packs. Nothing is computed again."""
    from ..stages.compact import compact as run_compact

    for line in run_compact(store, Terminal()).lines():
        say(line)
