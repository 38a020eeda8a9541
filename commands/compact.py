"""`svc compact`."""

from __future__ import annotations

import cloup

from .group import say
from .terminal import Terminal


@cloup.command(short_help="Free the space of removed recordings in a store.")
@cloup.argument("store", metavar="STORE")
@cloup.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
def compact(store: str, dry_run: bool) -> None:
    """Drop what removed and changed recordings left in a STORE, and merge small packs. Nothing is computed again."""
    from ..stages.compact import compact as run_compact

    for line in run_compact(store, Terminal(), dry_run).lines():
        say(line)
