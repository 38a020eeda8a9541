"""Recordings changed: sung to drawn melodies, vowels stretched, formants moved, by the WORLD vocoder.

    python -m svc.data.mini_training.variants --data DATA --names kerstin nathalie --round 1

For each corpus `NAME` a corpus `NAME-vROUND` is written with one changed copy of each clip; `NAME-vROUND.map.f32`
holds, for each of its frames, the frame of the unchanged corpus (a fraction) that sounds there. Half of the copies
are sung, the others are spoken by another voice: pitch and formants moved, a little faster or slower. Unvoiced frames
keep what they are. A round has its own random numbers, so rounds can be added as time allows.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyworld
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from .corpus import HOP, RATE, Corpus, CorpusWriter, Samples

PERIOD = 5.0  # ms
STEPS = 4  # of WORLD in a frame
FLOOR, CEILING = 60.0, 700.0
LEVEL = 0.08  # RMS of a copy

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Analysis:
    """What WORLD finds in a clip, every 5 ms (S steps).

    Attributes:
        f0: Hz, 0 = unvoiced, (S,).
        spectrum: natural logarithm of the power spectrum, (S, bins).
        aperiodicity: 0 to 1, (S, bins).
    """

    f0: Array
    spectrum: Array
    aperiodicity: Array

    @classmethod
    def of(cls, wav: Samples, rate: int = RATE) -> Analysis:
        """Of a clip (T,) at `rate` Hz."""
        signal = wav.astype(np.float64)
        f0, times = pyworld.dio(signal, rate, f0_floor=FLOOR, f0_ceil=CEILING, frame_period=PERIOD)
        f0 = pyworld.stonemask(signal, f0, times, rate)
        spectrum = pyworld.cheaptrick(signal, f0, times, rate)
        return cls(f0, np.log(spectrum + 1e-12), pyworld.d4c(signal, f0, times, rate))

    @property
    def note(self) -> float:
        """The median of the voiced f0, as a MIDI note; A3 where nothing is voiced."""
        voiced = self.f0[self.f0 > 0]
        return float(69 + 12 * np.log2(np.median(voiced) / 440)) if len(voiced) else 57.0

    def at(self, steps: Array, formants: float) -> tuple[Array, Array]:
        """Power spectrum and aperiodicity at fractional steps (M,), the frequency axis stretched by `formants`.

        float64 (M, bins) each.
        """
        low = np.clip(np.floor(steps).astype(int), 0, len(self.f0) - 2)
        part = np.clip(steps - low, 0, 1)[:, None]
        bins = self.spectrum.shape[1]
        source = np.minimum(np.arange(bins) / formants, bins - 1)
        left = np.minimum(np.floor(source).astype(int), bins - 2)
        share = source - left

        def moved(values: Array) -> Array:
            mixed = values[low] * (1 - part) + values[low + 1] * part
            return np.asarray(mixed[:, left] * (1 - share) + mixed[:, left + 1] * share)

        return np.exp(moved(self.spectrum)), moved(self.aperiodicity)


def time_map(analysis: Analysis, stretch: float, rate: float) -> Array:
    """For each step of the copy the (fractional) step of the original that sounds there: float64 (M,).

    Steady voiced sounds last `stretch` times as long, and everything `1 / rate` times.
    """
    smooth = gaussian_filter1d(analysis.spectrum, 2, axis=0)
    flux = gaussian_filter1d(np.abs(np.gradient(smooth, axis=0)).mean(1), 2)
    steady = np.clip(1.5 - flux / (np.median(flux) + 1e-9), 0, 1)
    voiced = gaussian_filter1d((analysis.f0 > 0).astype(float), 2)
    duration = (1 + (stretch - 1) * steady * voiced) / rate
    ends = np.concatenate([[0.0], np.cumsum(duration)])[:-1]
    return np.interp(np.arange(int(ends[-1]) + 1), ends, np.arange(len(ends)))


def melody(voiced: NDArray[np.bool_], centre: float, generator: np.random.Generator) -> Array:
    """A drawn tune in MIDI note numbers, (S,) for S steps of 5 ms: notes of a scale, glides, vibrato and drift."""
    count, place, note = len(voiced), 0, centre
    scale = np.array(generator.choice([[0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10], [0, 2, 4, 7, 9]][:2]))
    degrees = np.sort(np.concatenate([scale + 12 * octave for octave in range(-2, 3)])) + round(centre)
    notes = np.empty(count)
    reach = generator.uniform(3, 9)
    while place < count:
        length = int(generator.choice([0.15, 0.25, 0.4, 0.6, 0.9, 1.3]) * generator.uniform(0.8, 1.2) * 1000 / PERIOD)
        near = degrees[np.abs(degrees - note) < 6]
        near = near[np.abs(near - centre) <= reach] if np.any(np.abs(near - centre) <= reach) else near
        note = float(generator.choice(near))
        notes[place : place + length] = note
        place += length
    notes = gaussian_filter1d(notes, generator.uniform(2, 9), mode="nearest")
    time = np.arange(count) * PERIOD / 1000
    phase = (
        2
        * np.pi
        * np.cumsum(generator.uniform(4.5, 6.8) * (1 + 0.05 * generator.standard_normal(count)))
        * PERIOD
        / 1000
    )
    depth = generator.uniform(0, 0.7) * (
        0.5 + 0.5 * np.sin(2 * np.pi * time / generator.uniform(1.5, 4) + generator.uniform(0, 6))
    )
    drift = gaussian_filter1d(generator.standard_normal(count), 40) * 1.5
    return np.asarray(notes + depth * np.sin(phase) + drift * 0.3)


def changed(analysis: Analysis, sung: bool, generator: np.random.Generator) -> tuple[Samples, Array]:
    """A changed copy, float32 (T,) at 16 kHz, and for each of its frames the original's that sounds there, (T // 320,).

    `sung`: to a drawn melody with stretched vowels; otherwise spoken, with other pitch, formants and speed.
    """
    formants = float(np.exp(generator.uniform(np.log(0.78), np.log(1.28))))
    stretch = generator.uniform(1.2, 4.0) if sung else 1.0
    steps = time_map(analysis, stretch, generator.uniform(0.85, 1.25) if sung else generator.uniform(0.75, 1.3))
    steps = steps[: len(steps) // STEPS * STEPS]
    nearest = np.clip(np.round(steps).astype(int), 0, len(analysis.f0) - 1)
    f0 = analysis.f0[nearest]
    voiced = f0 > 0
    if not voiced.any():
        voiced[:1] = True
    spoken = 69 + 12 * np.log2(np.median(f0[voiced]) / 440 + 1e-9) if f0.any() else 57.0
    # A longer vocal tract goes with a lower voice, not always.
    centre = np.clip(57 + 12 * np.log2(formants) * 1.5 + generator.normal(0, 5) + 4 * sung, 40, 76)
    semitones = melody(voiced, float(centre), generator) if sung else np.full(len(f0), centre)
    own = np.where(voiced, 69 + 12 * np.log2(np.maximum(f0, 1) / 440) - spoken, 0)
    keep = 0.1 * generator.random() if sung else generator.uniform(0.3, 1.6)
    pitch = np.where(voiced, 440 * 2 ** ((semitones + keep * own - 69) / 12), 0)
    pitch = np.where(pitch > 0, np.clip(pitch, 55, 1100), 0)
    # Breathier or cleaner, in three of ten.
    breath = float(np.exp(generator.uniform(-0.7, 0.7))) if generator.random() < 0.3 else 1.0
    wav = synthesize(analysis, steps, pitch, formants, breath, generator.normal(0, 3))
    frames = len(steps) // STEPS
    middle = steps[STEPS // 2 :: STEPS][:frames]
    return wav[: frames * HOP], (middle - STEPS / 2) / STEPS


def synthesize(
    analysis: Analysis, steps: Array, pitch: Array, formants: float, breath: float, tilt: float, rate: int = RATE
) -> Samples:
    """A recording sung or spoken otherwise, float32 (T,) at `rate` Hz, at the RMS level LEVEL.

    Args:
        analysis: of the recording, at the same rate.
        steps: of the recording that sound at each step of the copy, (S,).
        pitch: f0 of the copy in Hz, 0 = unvoiced, (S,).
        formants: factor of all formants' frequencies.
        breath: exponent of the aperiodicity: below 1 is breathier.
        tilt: dB an octave above 500 Hz.
        rate: in Hz.
    """
    spectrum, aperiodicity = analysis.at(steps, formants)
    if breath != 1:
        aperiodicity = np.clip(aperiodicity**breath, 0.0005, 0.9995)
    bins = spectrum.shape[1]
    half_kilohertz = 500 * 2 * (bins - 1) / rate  # the bin of 500 Hz
    octaves = np.log2(np.maximum(np.arange(bins), half_kilohertz / 8) / half_kilohertz)
    spectrum = np.ascontiguousarray(spectrum * np.exp(tilt * octaves * np.log(10) / 10))
    wav = pyworld.synthesize(pitch, spectrum, np.ascontiguousarray(aperiodicity), rate, PERIOD)
    wav *= LEVEL / (np.sqrt(np.mean(wav**2)) + 1e-9)
    wav *= min(1.0, 0.99 / (np.abs(wav).max() + 1e-9))
    return np.asarray(wav, np.float32)


def main() -> None:
    """The command line: appends the changed copies that a round lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--names", nargs="+", required=True)
    parser.add_argument("--round", type=int, required=True)
    options = parser.parse_args()
    for name in options.names:
        corpus, writer = Corpus(options.data, name), CorpusWriter(options.data, f"{name}-v{options.round}")
        maps = options.data / f"{writer.pcm_path.stem}.map.f32"
        maps.touch()
        with maps.open("r+b") as file:
            file.truncate(writer.end // HOP * 4)
        for number, clip in enumerate(corpus.clips):
            if clip.name in writer.done:
                continue
            generator = np.random.default_rng([options.round, number, 23])
            sung = bool(generator.random() < 0.55)
            wav, frames = changed(Analysis.of(corpus.samples(clip)), sung, generator)
            with maps.open("ab") as file:
                file.write((frames[: len(wav) // HOP]).astype("<f4").tobytes())
            writer.add(clip.name, wav, of=number, sung=sung)
        print(f"{corpus.name}, round {options.round}: {writer.end / RATE / 3600:.2f} hours", flush=True)


if __name__ == "__main__":
    main()
