"""`svc compact`: give back the room of recordings that left the corpus."""

from __future__ import annotations

from pathlib import Path

from ..common.progress import Progress
from ..store.compact import Compacted
from ..store.compact import compact as compact_store

__all__ = ["Compacted", "compact"]


def compact(location: str | Path, progress: Progress | None = None) -> Compacted:
    """Drop what no utterance names any more and merge small packs. Raises StoreError when there is no store."""
    progress = progress or Progress()
    with progress.bar("compacting", 1, "store") as bar:
        shown = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal shown
            bar.advance(done / total - shown)
            shown = done / total

        return compact_store(location, tell, lambda: progress.say(f"waiting: another svc is writing {location}"))
