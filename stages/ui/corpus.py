"""What a voice's recordings are like, before anything is trained: the page's way into the corpus report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...common.progress import Progress
from ...pipeline.pitch.melody import semitones
from ...store import open_store
from ..extraction.report import ExtractReport


def report_corpus(store: Path, done: ExtractReport, progress: Progress) -> dict[str, Any]:
    """Minutes, range and note coverage of f0, each recording's share, and what could not be used and why."""
    opened = open_store(store)
    f0 = [clip.f0 for clip in opened if not clip.missing()]
    voiced = np.concatenate([each[each > 0] for each in f0]) if f0 else np.zeros(0, np.float32)
    notes, counts = np.unique(np.round(semitones(voiced)).astype(int), return_counts=True)
    low, median, high = np.percentile(voiced, [5, 50, 95]).round(1).tolist() if len(voiced) else (None, None, None)
    seconds: dict[str, float] = {}
    for clip in opened:
        seconds[clip.utterance.source] = seconds.get(clip.utterance.source, 0.0) + clip.seconds
    return {
        "minutes": round(done.seconds / 60, 2),
        "utterances": done.utterances,
        "f0_low": low,
        "f0_median": median,
        "f0_high": high,
        "notes": {
            str(note): round(count / 86.13, 1) for note, count in zip(notes.tolist(), counts.tolist(), strict=True)
        },
        "recordings": {Path(name).name: {"seconds": round(value, 1)} for name, value in seconds.items()},
        "refused": [{"file": Path(each.path).name, "reason": each.reason} for each in done.refused],
        "remarks": list(done.notes),
    }
