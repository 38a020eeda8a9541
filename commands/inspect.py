"""`svc inspect`."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from ..common.text import json_text
from .group import say
from .options import PATH, json_option
from .terminal import Terminal


@cloup.command(short_help="Show what is in a store or a run.")
@cloup.argument("path", metavar="STORE|RUN")
@cloup.option("--utterance", metavar="ID", help="Describe one utterance of a store.")
@cloup.option("--plot", type=PATH, metavar="PNG", help="Draw the utterance (or the first) into this file.")
@cloup.option("--report", is_flag=True, help="Describe a store's corpus: minutes, notes, noise, copies, problems.")
@json_option
def inspect(path: str, utterance: str | None, plot: Path | None, report: bool, as_json: bool) -> None:
    """Show what is in a store or a run."""
    from ..stages.inspect import describe, describe_utterance, lines, open_store, utterance_lines

    metadata = describe(path)
    if report:
        if metadata["kind"] != "store":
            raise click.UsageError("--report describes a store's corpus; this is a run")
        from ..stages.corpus_report import corpus_report

        found = corpus_report(open_store(path), Terminal())
        for line in [json_text(found.to_json())] if as_json else found.lines():
            say(line)
        return
    if (utterance or plot) and metadata["kind"] != "store":
        raise click.UsageError("--utterance and --plot look into a store; this is a run")
    if utterance or plot:
        clip = open_store(path)[utterance or 0]
        metadata = describe_utterance(clip)
        if plot:
            clip.plot(plot)
            say(f"drawn into {plot}", err=True)
    if as_json:
        say(json_text(metadata))
        return
    for line in utterance_lines(metadata) if utterance or plot else lines(metadata):
        say(line)
