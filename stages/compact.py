"""`svc compact`: free the space of recordings that were removed from the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..common.progress import Progress
from ..common.text import count
from ..store.compact import Compacted
from ..store.compact import compact as compact_store
from .stores import check_store


@dataclass(frozen=True)
class CompactReport:
    """The result of compacting a store."""

    store: str
    done: Compacted
    dry_run: bool = False

    def lines(self) -> list[str]:
        """What was done, or would be."""
        if self.dry_run:
            return [
                f"{self.store}: {count(self.done.packs_before, 'pack')} would become {self.done.packs_after:,}, "
                f"{count(self.done.rows_dropped, 'utterance')} would be dropped, "
                f"{self.done.bytes_freed / 2**20:.1f} MiB freed",
                "nothing was written: leave out --dry-run to do it",
            ]
        return [
            f"{self.store}: {count(self.done.packs_before, 'pack')} became {self.done.packs_after:,}, "
            f"{count(self.done.rows_dropped, 'utterance')} dropped, {self.done.bytes_freed / 2**20:.1f} MiB freed"
        ]


def compact(location: str | Path, progress: Progress | None = None, dry_run: bool = False) -> CompactReport:
    """Drop rows that no utterance uses and merge small packs. Raises StoreError when there is no store."""
    check_store(location)
    if dry_run:
        return CompactReport(str(location), compact_store(location, dry_run=True), dry_run)
    progress = progress or Progress()
    with progress.bar("compacting", 1, "store") as bar:
        shown = 0.0

        def advance(done: int, total: int) -> None:
            nonlocal shown
            bar.advance(done / total - shown)
            shown = done / total

        done = compact_store(location, advance, lambda: progress.say(f"waiting: another svc is writing {location}"))
        return CompactReport(str(location), done)
