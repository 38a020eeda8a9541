"""`svc train --compare`: which units are better, by measurements."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ...common.errors import UserError
from ...common.files import write_whole
from ...common.progress import Progress
from ...store import open_store
from ..run import Run
from ..settings import TrainSettings
from .corpus import gather_corpus
from .distributed import DistributedContext
from .train import train
from .unit_kinds import name_of, of_kind
from .unit_measures import convert, measure, parallel_songs
from .unit_table import Line, table


@dataclass(frozen=True)
class Comparison:
    """The measurements of each kind of units."""

    rows: list[Line]

    def lines(self) -> list[str]:
        """The table, as Markdown."""
        return table(self.rows)


def compare(
    stores: Sequence[str | Path],
    out: Path,
    settings: TrainSettings,
    kinds: Sequence[str],
    truth: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> list[Line]:
    """Train units of each kind and measure them. An interrupted call is continued by the same call.

    Args:
        stores, settings, device, progress: as for `train`.
        out: a folder; each kind gets a run in it, and `compare.md` and `compare.json` the table.
        kinds: widths of soft units, such as "512", or another kind: "hidden", "linear", "hubert-soft".
        truth: a store in which the voices sing the same songs, in recordings of the same name and length. With it an
            acoustic model is trained for each kind, and converts them.

    Raises:
        UserError: as `train`; or the truth has no such songs.
    """
    progress = progress or Progress()
    asked = [of_kind(settings, kind) for kind in kinds]
    if twice := [kind for kind in kinds if kinds.count(kind) > 1]:
        raise UserError(f"units {twice[0]} are asked for twice")
    corpus = gather_corpus([open_store(path) for path in stores], progress)
    pairs = [] if truth is None else parallel_songs(truth, corpus)
    lines = []
    for kind, changed in zip(kinds, asked, strict=True):
        progress.say(f"\nunits: {name_of(changed)}")
        report = train(stores, out / kind, changed, device, None if pairs else "units", progress)
        run = Run.open(out / kind)
        line = measure(run, corpus, DistributedContext(device).device)
        if pairs:
            model, _ = run.load_best(DistributedContext(device).device)
            off, way = convert(model, run, corpus, pairs, DistributedContext(device).device, progress)
            line = dataclasses.replace(line, mel_error=report.mel_error, distance_db=off, way=way)
        lines.append(line)
        write_whole(out / "compare.json", json.dumps([asdict(line) for line in lines], indent=1).encode())
        write_whole(out / "compare.md", "\n".join([*table(lines), ""]).encode())
    return lines
