"""`svc verify`."""

from __future__ import annotations

import sys
from pathlib import Path

import cloup

from ..common.text import json_text
from .group import DONE, REFUSED, say
from .options import PATH, json_option
from .terminal import Terminal


@cloup.command(short_help="Compare every byte of a store with its checksums.")
@cloup.argument("store", metavar="STORE")
@cloup.option("--resume", type=PATH, metavar="FILE", help="Record whole cells here, to continue if stopped.")
@json_option
def verify(store: str, resume: Path | None, as_json: bool) -> None:
    """Read every byte of a STORE and compare it with its checksums. Exit code 1: something is damaged or missing."""
    from ..stages.verify import verify as run_verify

    report = run_verify(store, Terminal(), resume)
    if as_json:
        say(json_text(report.to_json()))
    else:
        for line in report.lines():
            say(line)
    sys.exit(REFUSED if report.findings else DONE)
