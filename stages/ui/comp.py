"""Picked takes joined into one track of a song or a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from ...pipeline.frames import MEL_RATE
from .schemas import Phrase

Samples = NDArray[np.float32]
EDGE_SECONDS = 0.02  # over which a phrase rises from and falls to silence
CROSS_SECONDS = 0.04  # over which adjoining takes are cross-faded in mid-sound


@dataclass(frozen=True)
class Pick:
    """The take chosen for a phrase: its file, and the seconds at which that begins in the song."""

    phrase: Phrase
    file: Path
    start: float


def place(wav: Samples, start: float, phrase: Phrase, followed: bool) -> Samples:
    """A take with its ends faded: as the page plays it (static/js/player.js), float32 (T,).

    Args:
        wav: float32 (T,) at 44.1 kHz, which may reach beyond the phrase where it was cut in mid-sound.
        start: seconds at which it begins in the song.
        followed: whether the next phrase begins here in mid-sound.
    """
    at = start + np.arange(len(wav)) / MEL_RATE
    edge, cross = EDGE_SECONDS, CROSS_SECONDS
    if phrase.joined:
        rise = np.sqrt(np.clip((at - phrase.start) / cross + 0.5, 0, 1))
    else:
        rise = np.clip((at - start) / edge, 0, 1)
    if followed:
        fall = np.sqrt(np.clip((phrase.end - at) / cross + 0.5, 0, 1))
    else:
        fall = np.clip((start + len(wav) / MEL_RATE - at) / edge, 0, 1)
    return (wav * rise * fall).astype(np.float32)


def comp(picks: Sequence[Pick], phrases: Sequence[Phrase], samples: int) -> Samples:
    """One track of takes, float32 (samples,) at 44.1 kHz, silent where nothing was picked."""
    joined = {phrase.index - 1 for phrase in phrases if phrase.joined}
    out = np.zeros(samples, np.float32)
    for pick in picks:
        wav, rate = soundfile.read(pick.file, dtype="float32")
        assert rate == MEL_RATE, pick.file
        first = round(pick.start * MEL_RATE)
        wav = place(wav, pick.start, pick.phrase, pick.phrase.index in joined)[: max(0, samples - first)]
        out[first : first + len(wav)] += wav
    return out
