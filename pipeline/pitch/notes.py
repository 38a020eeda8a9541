"""f0 as notes: where each begins and ends, and its MIDI note number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from .melody import F0, semitones

STRAY = 0.75  # semitones from a note's number that begin another note,
STRAY_FRAMES = 5  # after as many mel frames (58 ms)
MEDIAN_FRAMES = 9  # over which pitch is smoothed before notes are separated


@dataclass(frozen=True)
class Note:
    """Mel frames [start, end) that sound at one MIDI note number."""

    start: int
    end: int
    number: int


def split_notes(f0: F0) -> list[Note]:
    """The notes of f0 (M,), Hz at mel centres, 0 = unvoiced, in order.

    A note lasts while its pitch stays within STRAY semitones of its number, and ends at an unvoiced frame. A smaller
    vibrato is one note; a glide is a sequence of notes.
    """
    voiced = np.flatnonzero(f0 > 0)
    runs = np.split(voiced, np.flatnonzero(np.diff(voiced) > 1) + 1) if len(voiced) else []
    return [note for run in runs for note in _notes_of_run(f0[run], int(run[0]))]


def _notes_of_run(hertz: NDArray[np.float32], first: int) -> list[Note]:
    pitch = median_filter(semitones(hertz), min(MEDIAN_FRAMES, len(hertz)), mode="nearest")
    notes, start, number, stray = [], 0, round(float(pitch[0])), 0
    for at, height in enumerate(pitch):
        stray = stray + 1 if abs(height - number) > STRAY else 0
        if stray < STRAY_FRAMES:
            continue
        begins = at - stray + 1
        if begins > start:
            notes.append(Note(first + start, first + begins, number))
        start, number, stray = begins, round(float(height)), 0
    return [*notes, Note(first + start, first + len(pitch), number)]
