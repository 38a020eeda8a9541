"""Scores: phones with their times, f0 and loudness.

f0 follows Saitou, Unoki and Akagi (Speech Communication 46, 2005): notes are steps through a damped second-order
system, which overshoots; vibrato, which begins after a delay, and a slow random drift are added. A vowel begins on the
beat, and the consonants before it come before the beat (Sundberg, *The Science of the Singing Voice*, 1987).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import bilinear, lfilter, lfilter_zi

from ...pipeline.frames import MEL_FRAME_RATE, MEL_HOP, MEL_RATE, unit_centres
from .languages import Syllable, draw
from .phones import NUMBERS, PHONES, SILENCE

STEP = 64  # samples between the values of a score's curves; a mel hop is eight of them
CURVE_RATE = MEL_RATE / STEP  # values/s
VOICED = 0.05  # the voice's amplitude from which on a frame counts as voiced
CENTRE = MEL_HOP // STEP // 2  # the curve value at the first mel frame's centre
SCALE = (0, 2, 4, 5, 7, 9, 11)  # semitones of the major scale

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Note:
    """A MIDI pitch (None: a rest), seconds, and the syllable."""

    midi: float | None
    seconds: float
    syllable: Syllable | None = None


@dataclass(frozen=True)
class Score:
    """A song or phrase for any voice.

    Attributes:
        phones: names, in order, silences among them.
        bounds: seconds, float64 (len(phones) + 1,): phone p sounds from bounds[p] to bounds[p + 1].
        f0: Hz, float64 (C,), a value every 64 samples, also where nothing is voiced.
        loudness: dB beside the loudest, float64 (C,).
        voice: the voice's amplitude, float64 (C,): 1 in vowels, 0 where unvoiced.
    """

    phones: tuple[str, ...]
    bounds: Array
    f0: Array
    loudness: Array
    voice: Array

    @property
    def samples(self) -> int:
        """Its length at 44.1 kHz."""
        return len(self.f0) * STEP

    @property
    def mel_frames(self) -> int:
        """Its length in mel frames."""
        return self.samples // MEL_HOP

    def transposed(self, semitones: float) -> Score:
        """The same score, higher by `semitones`."""
        return replace(self, f0=self.f0 * 2 ** (semitones / 12))

    def mel_f0(self) -> NDArray[np.float32]:
        """The true f0 at mel centres: Hz, 0 where unvoiced, float32 (M,)."""
        at = slice(CENTRE, None, MEL_HOP // STEP)
        return np.where(self.voice[at] > VOICED, self.f0[at], 0.0).astype(np.float32)

    def lab(self) -> str:
        """The phones as lines `START END PHONE`, in seconds: a .lab file."""
        spans = zip(self.bounds[:-1], self.bounds[1:], self.phones, strict=True)
        return "".join(f"{start:.5f} {end:.5f} {phone}\n" for start, end, phone in spans)

    def labels_at(self, seconds: NDArray[Any]) -> NDArray[np.int64]:
        """The phones at times in seconds (N,), as numbers into `phones.NAMES`: int64 (N,)."""
        return np.array([NUMBERS[name] for name in self.phones])[self._sounding(seconds)]

    def mel_labels(self) -> NDArray[np.int64]:
        """Phone numbers at mel centres, int64 (M,)."""
        return self.labels_at(self._mel_centres)

    def seconds_in_phone(self) -> tuple[Array, Array]:
        """Seconds from each mel centre back to the start, and on to the end, of its phone: float64 (M,) each."""
        seconds = self._mel_centres
        place = self._sounding(seconds)
        return seconds - self.bounds[place], self.bounds[place + 1] - seconds

    def unit_labels(self, units: int) -> NDArray[np.int64]:
        """Phone numbers at the centres of `units` unit frames, int64 (units,)."""
        return self.labels_at(unit_centres(units))

    @property
    def _mel_centres(self) -> Array:
        """In seconds, (M,)."""
        return np.asarray((np.arange(self.mel_frames) + 0.5) / MEL_FRAME_RATE, np.float64)

    def _sounding(self, seconds: NDArray[Any]) -> NDArray[np.int64]:
        """Places in `phones` of the phones at times in seconds (N,): int64 (N,)."""
        return np.clip(np.searchsorted(self.bounds, seconds, "right") - 1, 0, len(self.phones) - 1)


def compose(notes: Sequence[Note], seed: int, vibrato: bool = True) -> Score:
    """Turn notes into phones, f0 and loudness. The same notes and seed give the same score."""
    generator = np.random.default_rng(seed)
    begins = np.concatenate([[0.0], np.cumsum([note.seconds for note in notes])])
    count = int(np.ceil(begins[-1] * MEL_RATE / MEL_HOP)) * (MEL_HOP // STEP)
    phones, bounds = _lay_out(notes, begins, count / CURVE_RATE)
    return Score(
        phones,
        bounds,
        _pitch(notes, begins, count, generator, vibrato),
        _loudness(notes, begins, count, generator),
        _voice(phones, bounds, count),
    )


def _lay_out(notes: Sequence[Note], begins: Array, end: float) -> tuple[tuple[str, ...], Array]:
    """Phones and their bounds. Onsets lie before the beat and shorten the phone before them."""
    names, starts = [SILENCE], [0.0]
    for number, note in enumerate(notes):
        if note.midi is None or note.syllable is None:
            if names[-1] != SILENCE:
                names.append(SILENCE)
                starts.append(begins[number])
            continue
        following = notes[number + 1].syllable if number + 1 < len(notes) else None
        onset = [PHONES[name].seconds for name in note.syllable.onset]
        # No phone is shortened to less than a third, however short the note.
        room = max(0.02, (begins[number] - starts[-1]) * 0.67)
        onset = [length * min(1.0, room / max(sum(onset), 1e-9)) for length in onset]
        after = sum(PHONES[name].seconds for name in following.onset) if following else 0.0
        coda = [PHONES[name].seconds for name in note.syllable.coda]
        room = max(0.02, (note.seconds - min(after, note.seconds / 2)) * 0.5)
        coda = [length * min(1.0, room / max(sum(coda), 1e-9)) for length in coda]
        ends = begins[number + 1] - min(after, 0.67 * note.seconds)
        times = np.cumsum([begins[number] - sum(onset), *onset, max(ends - begins[number] - sum(coda), 0.02), *coda])
        names += note.syllable.phones
        starts += times[: len(note.syllable.phones)].tolist()
    bounds = np.maximum.accumulate(np.array([*starts, max(end, starts[-1])]))
    return tuple(names), bounds


def _pitch(notes: Sequence[Note], begins: Array, count: int, generator: np.random.Generator, vibrato: bool) -> Array:
    time = np.arange(count) / CURVE_RATE
    sung = [(begin, note) for begin, note in zip(begins, notes, strict=False) if note.midi is not None]
    steps = np.full(count, sung[0][1].midi if sung else 60.0, float)
    wave = np.zeros(count)
    for begin, note in sung:
        steps[time >= begin] = note.midi
        delay, rate, cents = generator.uniform(0.15, 0.35), generator.uniform(4.8, 6.6), generator.uniform(15, 70)
        local = time - begin - delay
        inside = (local > 0) & (time < begin + note.seconds)
        wave[inside] += cents / 100 * np.clip(local[inside] / 0.25, 0, 1) * np.sin(2 * np.pi * rate * local[inside])
    # A second-order system of 6.5 Hz, damped by 0.6, overshoots a step by some 9 %.
    natural, damping = 2 * np.pi * 6.5, 0.6
    b, a = bilinear([natural**2], [1, 2 * damping * natural, natural**2], CURVE_RATE)
    glide, _ = lfilter(b, a, steps, zi=lfilter_zi(b, a) * steps[0])
    drift = gaussian_filter1d(generator.standard_normal(count), 0.12 * CURVE_RATE)
    drift *= 0.10 / max(float(drift.std()), 1e-9)  # semitones
    if vibrato:
        glide = glide + gaussian_filter1d(wave, 0.02 * CURVE_RATE)
    return 440.0 * 2.0 ** ((glide + drift - 69) / 12)


def _loudness(notes: Sequence[Note], begins: Array, count: int, generator: np.random.Generator) -> Array:
    time = np.arange(count) / CURVE_RATE
    out = np.zeros(count)
    for begin, note in zip(begins, notes, strict=False):
        out[(time >= begin) & (time < begin + note.seconds)] = -30.0 if note.midi is None else generator.uniform(-10, 0)
    return gaussian_filter1d(out, 0.04 * CURVE_RATE, mode="nearest")


def _voice(phones: Sequence[str], bounds: Array, count: int) -> Array:
    """The voice's amplitude: that of each phone, 0 in its closure, smoothed over a glottal cycle or two."""
    out = np.zeros(count)
    for name, start, end in zip(phones, bounds, bounds[1:], strict=False):
        phone, opens = PHONES[name], start + PHONES[name].closure * (end - start)
        begin, middle, stop = (round(second * CURVE_RATE) for second in (start, opens, end))
        out[begin:middle], out[middle:stop] = phone.bar, phone.voice
    return gaussian_filter1d(out, 0.006 * CURVE_RATE, truncate=3)


def draw_score(
    language: str, seconds: float, seed: int, midi: float = 57.0, reach: float = 6.0, pace: float = 0.4
) -> Score:
    """A random phrase in the sounds of a language.

    Args:
        language: `en`, `ko` or `ja`.
        seconds: how long, about.
        seed: the same gives the same phrase.
        midi, reach: the middle of its range, and semitones up and down from there.
        pace: mean seconds a syllable. Under 0.25 it is as quick as speech, and has no vibrato.
    """
    generator = np.random.default_rng([seed, 1])
    scale = [m for m in np.arange(np.ceil(midi - reach), midi + reach + 1) if int(m) % 12 in SCALE] or [midi]
    place, notes = int(generator.integers(len(scale))), [Note(None, float(generator.uniform(0.15, 0.3)))]
    syllables = iter(draw(language, int(seconds / pace * 2) + 4, generator))
    breath = generator.uniform(2.5, 5.0)
    sung = 0.0
    while sum(note.seconds for note in notes) < seconds:
        place = int(np.clip(place + generator.integers(-3, 4), 0, len(scale) - 1))
        length = pace * float(generator.choice([0.6, 0.8, 1.0, 1.2, 2.0], p=[0.25, 0.25, 0.25, 0.15, 0.1]))
        notes.append(Note(float(scale[place]), length, next(syllables)))
        sung += length
        if sung > breath:
            notes.append(Note(None, float(generator.uniform(0.15, 0.4))))
            sung, breath = 0.0, generator.uniform(2.5, 5.0)
    return compose([*notes, Note(None, 0.25)], seed, vibrato=pace >= 0.25)
