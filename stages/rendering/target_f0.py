"""From a song's f0 to the target f0: corrected, smoothed, and in the requested key."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...common.text import count, time_ranges
from ...pipeline.pitch import melody, pitch
from ...pipeline.pitch.melody import Range
from ..settings import ConversionSettings

F0 = NDArray[np.float32]


@dataclass(frozen=True)
class TargetF0:
    """The target f0, Hz at mel centres, 0 = unvoiced, float32 (frames,); and the key that it is in.

    `note` explains the choice of an automatic key.
    """

    f0: F0 = field(repr=False)
    key: float
    note: str | None


def melody_of(tracked: F0, settings: ConversionSettings) -> F0:
    """A tracked f0 (frames,) without the tracker's errors, smoothed as asked, in the song's own key."""
    f0 = pitch.repair(tracked)
    if settings.fix_octaves:
        f0 = melody.fix_octaves(f0)
    return melody.smoothed(f0, settings.smooth_ms)


def target_f0(song: F0, settings: ConversionSettings, voice: Range | None, speaker: str) -> TargetF0:
    """A song's f0 (frames,) in the requested key, or in one that suits the voice's range."""
    if not isinstance(settings.key, str):
        return TargetF0(melody.transposed(song, settings.key), float(settings.key), None)
    if voice is None:
        return TargetF0(song, 0.0, f"the key is left as it is: the range of {speaker} is not known")
    octave, semitone = melody.choose_key(song, voice), melody.choose_key(song, voice, any_key=True)
    key = octave if settings.key == "auto" else semitone
    note = (
        f"key {key:+d}: {speaker} was recorded from {voice.low:.0f} to {voice.high:.0f} Hz, "
        f"mostly around {voice.middle:.0f} Hz"
    )
    if key != semitone:
        note += f"; of all keys {semitone:+d} fits best (-k auto-semitone)"
    return TargetF0(melody.transposed(song, key), float(key), note)


def range_warnings(target: F0, voice: Range | None, speaker: str) -> list[str]:
    """A warning where notes of a target f0 (M,), Hz, lie beyond the voice's range, with times and a better key."""
    if voice is None or (found := melody.range_violation(target, voice)) is None:
        return []
    sides = [f"{count(found.highest, 'semitone')} above"] if found.highest > 0 else []
    sides += [f"{count(-found.lowest, 'semitone')} below"] if found.lowest < 0 else []
    better = melody.choose_key(target, voice)
    step = f"{count(abs(better), 'semitone')} {'higher' if better > 0 else 'lower'}"
    hint = f"; {step} would fit better (-k auto)" if better else ""
    share = f"{found.share:.0%}" if found.share >= 0.01 else "under 1%"
    return [
        f"{share} of the notes lie up to {' and '.join(sides)} the range of {speaker} "
        f"({voice.low:.0f} to {voice.high:.0f} Hz, with {melody.REACH:.0f} semitones of margin): "
        f"at {time_ranges(list(found.spots), melody.SPOTS)}{hint}"
    ]
