"""The description of a voice's recordings before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...common.progress import Progress
from ...store import open_store
from ..corpus_report import corpus_report


def report_corpus(store: Path, progress: Progress) -> dict[str, Any]:
    """`corpus`: the corpus report, equal to `svc inspect STORE --report --json`; `recordings`: seconds by file name."""
    opened = open_store(store)
    seconds: dict[str, float] = {}
    for clip in opened:
        name = Path(clip.utterance.source).name
        seconds[name] = round(seconds.get(name, 0.0) + clip.seconds, 2)
    return {"corpus": corpus_report(opened, progress).to_json(), "recordings": seconds}
