"""`--breaths`: the treatment of a song's breaths and sibilants, which a model converts worst."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...common.text import count
from ...pipeline import audio, frames
from ...pipeline.audio import Recording
from ...pipeline.breaths import NoisePassage, find_breaths
from ..features import Waveform
from ..settings import ConversionSettings
from .source_features import SourceFeatures

FADE = 441  # samples, 10 ms, over which the song's own sound begins and ends
AUDIBLE_DB = -60.0  # dBFS: softer frames do not count for the voice's level
MOST_DB = 20.0  # bounds of the gain of the song's own sound


class SourceNoise:
    """The song's own sound in some passages, faded in and out in place of what was converted.

    Args:
        recording: the song.
        passages: in order, without overlap.
        gain: what the song's sound is multiplied with.
    """

    def __init__(self, recording: Recording, passages: list[NoisePassage], gain: float):
        self.recording, self.passages, self.gain = recording, passages, gain

    def blend(self, position: int, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples (n,) at 44.1 kHz of the result, from sample `position` on, with the passages put in."""
        stop, out = position + len(block), block
        with audio.Reader(self.recording) as reader:
            for passage in self.passages:
                start, end = passage.start * frames.MEL_HOP, passage.end * frames.MEL_HOP
                if end <= position or start >= stop:
                    continue
                out = block.copy() if out is block else out
                wav = _sound(reader, passage.start, passage.end) * np.float32(self.gain)
                at = np.arange(len(wav), dtype=np.float32) + 0.5
                share = np.clip(np.minimum(at, at[::-1]) / FADE, 0.0, 1.0)
                inside = slice(max(position, start) - start, min(stop, end) - start)
                into = slice(max(position, start) - position, min(stop, end) - position)
                out[into] += share[inside] * (wav[inside] - out[into])
        return out


@dataclass(frozen=True)
class BreathTreatment:
    """How a result is mixed because of its breaths.

    Attributes:
        volume: the factor for each mel frame of the result, float32 (frames,).
        noise: the song's own breaths and sibilants, where they are kept.
        passages: the breaths and sibilants that were found; empty if breaths are converted like everything else.
        notes: a sentence on the treatment.
    """

    volume: NDArray[np.float32] = field(repr=False)
    noise: SourceNoise | None = None
    passages: tuple[NoisePassage, ...] = ()
    notes: tuple[str, ...] = ()


def treat_breaths(
    settings: ConversionSettings,
    features: SourceFeatures,
    power: NDArray[np.float32],
    volume: NDArray[np.float32],
    within: tuple[int, int] | None = None,
) -> BreathTreatment:
    """Find the song's breaths and sibilants, and decide how they are mixed.

    Args:
        settings: `breaths` is `sing`: they stay as they were converted; `keep`: the song's own breaths and sibilants
            are put in, as loud beside the voice as they were in the song; a number: converted breaths are multiplied
            with it, and sibilants, which are parts of words, stay.
        features: the song's.
        power: mean square of each mel frame of the result, float32 (frames,).
        volume: the factor for each mel frame of the result, float32 (frames,).
        within: mel frames [start, end): only their breaths are treated. None is the whole song.
    """
    breaths = settings.breaths
    if breaths == "sing":
        return BreathTreatment(volume)
    recording = features.source.recording
    assert recording.flatness is not None
    with audio.Reader(recording) as reader:
        found = find_breaths(
            features.f0, recording.level_db, recording.flatness, lambda start, end: _sound(reader, start, end), within
        )
    if settings.threshold is not None:
        found = [each for each in found if recording.level_db[each.start : each.end].max() >= settings.threshold]
    drawn = [passage for passage in found if passage.breath]
    words = count(len(drawn), "breath") + f" ({sum(each.seconds for each in drawn):.1f} s)"
    if breaths == "keep":
        gain = _voice_gain(features, power, volume)
        others = count(len(found) - len(drawn), "sibilant")
        note = f"{words} and {others} are the song's own, {20 * np.log10(gain):+.1f} dB"
        return BreathTreatment(volume, SourceNoise(recording, found, gain), tuple(found), (note,))
    assert not isinstance(breaths, str)
    volume = volume.copy()
    for passage in drawn:
        volume[passage.start : passage.end] *= np.float32(breaths)
    done = "were left out" if breaths == 0 else f"were multiplied with {breaths:g}"
    return BreathTreatment(volume, None, tuple(drawn), (f"{words} {done}",))


def _voice_gain(features: SourceFeatures, power: NDArray[np.float32], volume: NDArray[np.float32]) -> float:
    """How much louder the voice of the result is than the song's: the median over voiced frames, as a factor."""
    level = features.source.recording.level_db[: len(power)]
    sung = 10 * np.log10(np.maximum(power, 1e-12)) + 20 * np.log10(np.maximum(volume, 1e-6))
    voiced = (features.f0[: len(level)] > 0) & (level > AUDIBLE_DB) & (sung > AUDIBLE_DB)
    if not voiced.any():
        return 1.0
    return float(10 ** (np.clip(np.median((sung - level)[voiced]), -MOST_DB, MOST_DB) / 20))


def _sound(reader: audio.Reader, start: int, end: int) -> NDArray[np.float32]:
    """Mel frames [start, end) of a song at 44.1 kHz: float32 (512 (end - start),)."""
    mono = reader.read(start, end)
    return Waveform(mono, reader.recording.sample_rate, end - start, (frames.MEL_RATE,)).at(frames.MEL_RATE)
