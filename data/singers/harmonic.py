"""A simple singer for tests and benchmarks: harmonics of a known f0 under moving formants, and noise for consonants.

It is fast, and f0 and times are known to the sample. Two voices that sing the same score are parallel. Vowel formants
are the averages for men of Peterson and Barney (1952, table II). The same arguments give the same samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from ...pipeline.frames import MEL_RATE

VOWELS = {  # Hz, the first three formants
    "i": (270, 2290, 3010),
    "e": (530, 1840, 2480),
    "a": (730, 1090, 2440),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
BANDWIDTHS = (80.0, 100.0, 140.0, 250.0, 350.0)  # Hz, of five formants
HIGHER = (3500.0, 4500.0)  # Hz, the fourth and fifth formant
CONSONANTS = {  # seconds, noise band in Hz (None: voiced murmur), level
    "s": (0.12, (5_000, 9_000), 0.10),
    "sh": (0.12, (2_200, 6_000), 0.12),
    "t": (0.05, (3_000, 8_000), 0.16),
    "k": (0.06, (1_200, 3_000), 0.14),
    "m": (0.08, None, 0.25),
    "n": (0.08, None, 0.30),
    "": (0.0, None, 0.0),
}
HARMONICS_TO = 11_000.0  # Hz


@dataclass(frozen=True)
class Voice:
    """A singer: how long the vocal tract is (formants times `formants`), tilt in dB an octave, vibrato, range."""

    name: str
    formants: float
    tilt_db: float
    vibrato_hz: float
    vibrato_cents: float
    lowest_midi: int
    highest_midi: int


VOICES = (  # two parallel voices
    Voice("alto", formants=1.17, tilt_db=-9.0, vibrato_hz=5.8, vibrato_cents=45, lowest_midi=57, highest_midi=74),
    Voice("bass", formants=0.94, tilt_db=-6.0, vibrato_hz=4.9, vibrato_cents=30, lowest_midi=41, highest_midi=60),
)


@dataclass(frozen=True)
class Note:
    """A sung syllable: MIDI pitch (None: a rest), seconds, consonant and vowel."""

    midi: float | None
    seconds: float
    consonant: str = ""
    vowel: str = "a"


def sing(score: Sequence[Note], voice: Voice, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Sing a score: float32 (T,) at 44.1 kHz, and f0 at every sample in Hz, float64 (T,), 0 where unvoiced."""
    generator = np.random.default_rng(seed)
    lengths = [round(note.seconds * MEL_RATE) for note in score]
    total = sum(lengths)
    midi, vowels, voiced, noise = np.zeros(total), np.zeros((total, 3)), np.zeros(total), np.zeros(total)
    start, held, formants = 0, next((n.midi for n in score if n.midi is not None), 60.0), VOWELS[score[0].vowel]
    for note, length in zip(score, lengths, strict=True):
        inside = slice(start, start + length)
        if note.midi is not None:
            held, formants = note.midi, VOWELS[note.vowel]
            seconds, band, level = CONSONANTS[note.consonant]
            onset = min(round(seconds * MEL_RATE), length // 2)
            voiced[inside] = 1.0
            if band is None:
                voiced[start : start + onset] = level
            else:
                voiced[start : start + onset] = 0.0
                burst = sosfilt(
                    butter(4, band, "bandpass", fs=MEL_RATE, output="sos"), generator.standard_normal(onset)
                )
                noise[start : start + onset] += level * burst * np.hanning(onset)
        midi[inside], vowels[inside] = held, formants
        start += length
    # A voice glides from note to note and from vowel to vowel.
    midi = smooth_steps(midi, 0.025 * MEL_RATE)
    vowels = np.stack([smooth_steps(track, 0.02 * MEL_RATE) for track in vowels.T], axis=1) * voice.formants
    loud = smooth_steps(voiced, 0.012 * MEL_RATE, outside=0.0)
    time = np.arange(total) / MEL_RATE
    vibrato = voice.vibrato_cents / 100 * np.sin(2 * np.pi * voice.vibrato_hz * time)
    f0 = 440.0 * 2.0 ** ((midi + vibrato - 69) / 12)
    wav = loud * _harmonics(f0, vowels, voice) + noise
    breath = sosfilt(butter(2, (1_500, 8_000), "bandpass", fs=MEL_RATE, output="sos"), generator.standard_normal(total))
    wav += 0.004 * loud * breath
    return (0.5 * wav / max(1e-9, np.abs(wav).max())).astype(np.float32), np.where(loud > 0.05, f0, 0.0)


def smooth_steps(track: NDArray[np.float64], sigma: float, outside: float | None = None) -> NDArray[np.float64]:
    """Smooth a track of few different values with a Gaussian, a step at a time.

    It is `scipy.ndimage.gaussian_filter1d(track, sigma, truncate=3)`, whose cost is a product a sample and tap: of
    these tracks 20 times as much as everything else in `sing`.

    Args:
        track: (T,), T > 0.
        sigma: in samples.
        outside: the value before the first and after the last sample; None continues the track.

    Returns:
        (T,); where no step is within 3 sigma, the track's own values.
    """
    reach = int(3 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    rise = np.cumsum(weights / weights.sum())
    rise[-1] = 1.0
    ends = (track[0], track[-1]) if outside is None else (outside, outside)
    around = np.concatenate([[ends[0]], track, [ends[1]]])
    out = np.full(len(track), ends[0], dtype=np.float64)
    for place in np.flatnonzero(np.diff(around)).tolist():
        height = around[place + 1] - around[place]
        first, last = max(0, place - reach), min(len(track), place + reach + 1)
        out[first:last] += height * rise[first - place + reach : last - place + reach]
        out[last:] += height
    return out


def _harmonics(f0: NDArray[np.float64], vowels: NDArray[np.float64], voice: Voice) -> NDArray[np.float64]:
    """The voiced sound: every harmonic as loud as the formants and the tilt have it, (T,)."""
    step = 64  # samples between which loudness is interpolated
    coarse = np.arange(0, len(f0) + step, step).clip(max=len(f0) - 1)
    phase = 2 * np.pi * np.cumsum(f0) / MEL_RATE
    higher = np.broadcast_to(np.array(HIGHER) * voice.formants, (len(coarse), len(HIGHER)))
    formants = np.concatenate([vowels[coarse], higher], axis=1)
    out = np.zeros(len(f0))
    for number in range(1, int(HARMONICS_TO / f0.min()) + 1):
        hertz = number * f0[coarse]
        # A resonance of centre F and bandwidth B passes f with F^2 / sqrt((F^2 - f^2)^2 + (B f)^2) (Klatt, 1980).
        passed = [
            centre**2 / np.sqrt((centre**2 - hertz**2) ** 2 + (width * hertz) ** 2)
            for centre, width in zip(formants.T, BANDWIDTHS, strict=True)
        ]
        level = np.prod(passed, axis=0) * number ** (voice.tilt_db / 6.02)
        level[hertz > HARMONICS_TO] = 0.0
        out += np.interp(np.arange(len(f0)), coarse[:-1], level[:-1]) * np.sin(number * phase)
    return out / 10


def practice(voice: Voice, seconds: float, seed: int) -> list[Note]:
    """A made-up phrase within a voice's range: steps and small leaps, all consonants and vowels."""
    generator = np.random.default_rng([seed, voice.lowest_midi])
    scale = [m for m in range(voice.lowest_midi, voice.highest_midi + 1) if m % 12 in (0, 2, 4, 5, 7, 9, 11)]
    place = int(generator.integers(len(scale)))
    notes = [Note(None, 0.25)]
    while sum(note.seconds for note in notes) < seconds:
        place = int(np.clip(place + generator.integers(-3, 4), 0, len(scale) - 1))
        notes.append(
            Note(
                scale[place],
                float(generator.choice([0.25, 0.35, 0.5, 0.8])),
                str(generator.choice(list(CONSONANTS))),
                str(generator.choice(list(VOWELS))),
            )
        )
    return [*notes, Note(None, 0.25)]


def ode_to_joy(lowest_midi: int) -> list[Note]:
    """The first two lines of Beethoven's melody (1824), a syllable a note, starting a third above `lowest_midi`."""
    steps = [4, 4, 5, 7, 7, 5, 4, 2, 0, 0, 2, 4, 4, 2, 2, 4, 4, 5, 7, 7, 5, 4, 2, 0, 0, 2, 4, 2, 0, 0]
    beats = ([1.0] * 12 + [1.5, 0.5, 2.0]) * 2
    consonants, vowels = list(CONSONANTS), list(VOWELS)
    notes = [
        Note(lowest_midi + step, 0.42 * beat, consonants[(3 * i) % len(consonants)], vowels[(2 * i) % len(vowels)])
        for i, (step, beat) in enumerate(zip(steps, beats, strict=True))
    ]
    return [Note(None, 0.5), *notes[:15], Note(None, 1.5), *notes[15:], Note(None, 0.5)]
