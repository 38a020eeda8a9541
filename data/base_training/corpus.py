"""The corpus of the base voices: a folder for each of many speakers, for `svc extract`.

    python -m svc.data.base_training.corpus --out CORPUS --recordings kerstin=REPOSITORY nathalie=REPOSITORY

There are three kinds of speakers: the recordings themselves; voices made of them by WORLD, each with its own formants,
pitch, breath and tilt, that sing half of their clips to drawn melodies; and the drawn singers of `data/singers`. Files
that exist are left as they are, so a stopped run can be continued.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ...common.files import write_whole
from ...pipeline.frames import MEL_RATE
from ..mini_training.corpus import Samples
from ..mini_training.recordings import files
from ..mini_training.variants import Analysis, Array, melody, synthesize, time_map
from ..singer_clips import draw_phrase
from ..singers import draw_voice

FOLDER = "verified"  # of the repositories that holds the recordings
FIRST_SINGER = 1_000_000  # seeds that no other training, probe or demo draws
NOTES = (40, 76)  # MIDI notes that a made voice is centred on
F0 = (55, 1100)  # Hz, that a made voice reaches
PHRASE = 9.0  # seconds of a drawn singer's phrase
SHORTEST = 1.5  # seconds of a recording that is taken


@dataclass(frozen=True)
class MadeVoice:
    """How recordings are changed into another voice.

    Attributes:
        formants: factor of all formants' frequencies.
        centre: MIDI note that its speech is centred on.
        breath: exponent of the aperiodicity.
        tilt: dB an octave above 500 Hz.
        tempo: factor of the speed.
    """

    formants: float
    centre: float
    breath: float
    tilt: float
    tempo: float

    @classmethod
    def draw(cls, number: int, count: int) -> MadeVoice:
        """Voice `number` of `count`: formants are spread evenly, the rest is drawn."""
        generator = np.random.default_rng([number, 41])
        place = (number + generator.uniform(0.2, 0.8)) / count
        formants = float(0.76 * (1.22 / 0.76) ** place)
        # A longer vocal tract goes with a lower voice, not always: from a woman at 1.
        centre = float(np.clip(56 + 12 * np.log2(formants) * 2.2 + generator.normal(0, 3), *NOTES))
        breath, tilt = float(np.exp(generator.uniform(-0.5, 0.5))), float(generator.normal(0, 2))
        return cls(formants, centre, breath, tilt, float(generator.uniform(0.85, 1.2)))

    def apply(self, wav: Samples, sung: bool, generator: np.random.Generator) -> Samples:
        """A recording, float32 (T,) at 44.1 kHz, in this voice: spoken, or sung to a drawn melody."""
        analysis = Analysis.of(wav, MEL_RATE)
        steps = time_map(analysis, generator.uniform(1.2, 3.0) if sung else 1.0, self.tempo)
        f0 = analysis.f0[np.clip(np.round(steps).astype(int), 0, len(analysis.f0) - 1)]
        pitch = np.zeros(len(f0))
        if (voiced := f0 > 0).any():
            own = 69 + 12 * np.log2(np.maximum(f0, 1) / 440) - analysis.note
            notes: Array | float = melody(voiced, self.centre + 4, generator) if sung else self.centre
            keep = 0.1 if sung else generator.uniform(0.7, 1.3)
            pitch = np.where(voiced, np.clip(440 * 2 ** ((notes + keep * own - 69) / 12), *F0), 0)
        return synthesize(analysis, steps, pitch, self.formants, self.breath, self.tilt, MEL_RATE)


def write(path: Path, wav: Samples, rate: int = MEL_RATE) -> None:
    """Write a clip, float32 (T,) at `rate` Hz, as 16-bit FLAC; the file is written whole or not at all."""
    content = io.BytesIO()
    soundfile.write(content, wav, rate, "PCM_16", format="FLAC")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content.getvalue())


def chosen(recordings: Sequence[tuple[str, bytes]], minutes: float, seed: int) -> list[tuple[str, Samples]]:
    """Some recordings, drawn, float32 (T,) at 44.1 kHz each, of about `minutes` in all."""
    taken: list[tuple[str, Samples]] = []
    left = minutes * 60
    for number in np.random.default_rng([seed, 43]).permutation(len(recordings)):
        name, content = recordings[number]
        wav, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
        if len(wav) / rate >= SHORTEST and np.abs(wav).max() > 1e-3:
            taken.append((Path(name).stem, np.asarray(soxr.resample(wav.mean(1), rate, MEL_RATE), np.float32)))
            left -= len(wav) / rate
        if left <= 0:
            break
    return taken


def main() -> None:
    """Make the corpus, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--recordings", nargs="+", required=True, metavar="NAME=REPOSITORY_OR_FOLDER", help="with a folder `verified`"
    )
    parser.add_argument("--minutes", type=float, default=20, help="of each recorded speaker")
    parser.add_argument("--made", type=int, default=16, help="voices that are made of the recordings")
    parser.add_argument("--made-minutes", type=float, default=2.5, help="of recordings for each of them")
    parser.add_argument("--singers", type=int, default=40, help="drawn singers")
    parser.add_argument("--phrases", type=int, default=3, help="of each drawn singer")
    options = parser.parse_args()
    everything: list[tuple[str, bytes]] = []
    for number, named in enumerate(options.recordings):
        name, source = named.split("=", 1)
        recordings = list(files(Path(source), FOLDER))
        everything += recordings
        if not (options.out / name).exists():
            for stem, wav in chosen(recordings, options.minutes, number):
                write(options.out / name / f"{stem}.flac", wav)
        print(name, flush=True)
    for number in range(options.made):
        voice = MadeVoice.draw(number, options.made)
        for place, (stem, wav) in enumerate(chosen(everything, options.made_minutes, 100 + number)):
            path = options.out / f"made-{number:02d}" / f"{stem}.flac"
            if not path.exists():
                write(path, voice.apply(wav, place % 2 == 1, np.random.default_rng([number, place, 47])))
        print(f"made {number}: {voice}", flush=True)
    for number in range(options.singers):
        for phrase in range(options.phrases):
            path = options.out / f"singer-{number:02d}" / f"{phrase}.flac"
            if not path.exists():
                write(path, _phrase(FIRST_SINGER + number, phrase))
    print("singers", flush=True)


def _phrase(seed: int, phrase: int) -> Samples:
    """A phrase of a drawn singer at 44.1 kHz, every third as quick and flat as speech."""
    generator = np.random.default_rng([seed, phrase, 53])
    return draw_phrase(draw_voice(seed), phrase % 3 == 2, PHRASE, seed + 1000 * phrase, generator)[0]


if __name__ == "__main__":
    main()
