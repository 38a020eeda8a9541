"""Parallel singers as a corpus, with the true result of converting one's song to the other's voice.

The folder holds `corpus/SINGER/*.wav`, phrases of each that are not the same, with their phones in `*.lab` beside them;
`songs/*.wav`, by the source; and `singers.json`, from which all of it, and the truth, is made again to the sample.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..common.errors import UserError
from ..common.files import write_whole
from ..common.progress import Progress
from ..data.singers import SONGS, Score, Voice, draw_score, draw_voice, sing, song
from ..pipeline import audio

FILE = "singers.json"
DRAWN_SECONDS = 10.0  # of a song that is made up
KEY = 52.0  # MIDI, the key note of songs: within what both can sing

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class ParallelSingers:
    """Two singers and their songs.

    Attributes:
        source, target: the seeds of the voices; the source is a high one, the target a low one.
        language: of phrases: `en`, `ko` or `ja`.
        phrases, seconds: how many of each in the corpus, and how long.
        songs: by name, of `data.singers.SONGS` or made up: `drawn-1`, `drawn-2`, ...
        seed: of what is drawn.
    """

    source: int = 1
    target: int = 2
    language: str = "ko"
    phrases: int = 20
    seconds: float = 8.0
    songs: tuple[str, ...] = ("arirang", "drawn-1", "drawn-2", "drawn-3")
    seed: int = 0

    @property
    def voices(self) -> tuple[Voice, Voice]:
        """The source's voice (alto) and the target's (bass), drawn from their seeds."""
        return draw_voice(self.source, True, "alto"), draw_voice(self.target, False, "bass")

    def phrase(self, voice: Voice, number: int) -> Score:
        """Phrase `number` of a voice's corpus, in the voice's range and reaching the songs'."""
        seed = (self.seed * 1000 + voice.seed) * 1000 + number
        pace = 0.3 + 0.05 * (number % 4)
        return draw_score(self.language, self.seconds, seed, (voice.midi + KEY + 5) / 2, 8.0, pace)

    def score(self, name: str) -> Score:
        """A song of neither's corpus."""
        if name in SONGS:
            return song(name, KEY, self.seed)
        seed = 10**9 + self.seed * 1000 + int(name.rpartition("-")[2])
        return draw_score(self.language, DRAWN_SECONDS, seed, KEY + 5, 7.0, 0.4)

    def corpus(self, voice: Voice) -> list[tuple[Samples, Score]]:
        """A voice's phrases: float32 (T,) at 44.1 kHz, and the score of each."""
        scores = [self.phrase(voice, number) for number in range(self.phrases)]
        return [(sing(score, voice, number), score) for number, score in enumerate(scores)]

    def make(self, folder: Path, progress: Progress) -> None:
        """Write the corpus and the songs; existing files stay."""
        description = json.dumps({"made": "svc", **asdict(self)}, indent=1) + "\n"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / FILE).exists() or (folder / FILE).read_text("utf-8") != description:
            for path in [*folder.glob("corpus/*/phrase_*.*"), *folder.glob("songs/*.wav")]:
                path.unlink()  # of other singers
        write_whole(folder / FILE, description.encode())
        wanted: list[tuple[Path, Voice, Score, int]] = []
        for voice in self.voices:
            for number in range(self.phrases):
                path = folder / "corpus" / voice.name / f"phrase_{number:02d}.wav"
                wanted.append((path, voice, self.phrase(voice, number), number))
        wanted += [(folder / "songs" / f"{name}.wav", self.voices[0], self.score(name), 0) for name in self.songs]
        with progress.bar("singing", len(wanted), "file") as bar:
            for path, voice, score, seed in wanted:
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    aside = path.with_suffix(".partial")
                    audio.write(aside, sing(score, voice, seed))
                    aside.replace(path)
                lab = path.with_suffix(".lab")
                if path.parent.parent.name == "corpus" and not lab.exists():
                    write_whole(lab, score.lab().encode())
                bar.advance()

    @classmethod
    def open(cls, path: Path) -> ParallelSingers:
        """From a `singers.json` or its folder. Raises UserError when it is none."""
        path = path / FILE if path.is_dir() else path
        try:
            metadata = json.loads(path.read_text("utf-8"))
            metadata.pop("made")
            return cls(**{**metadata, "songs": tuple(metadata["songs"])})
        except FileNotFoundError as error:
            raise UserError(f"there is no {path}: `svc demo` makes parallel singers") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is no description of singers as svc writes it: {error}") from error


def singers_of(path: Path) -> Path | None:
    """The `singers.json` that lies beside a run or a corpus, as `svc demo` leaves it."""
    return found if (found := path.absolute().parent / FILE).exists() else None
