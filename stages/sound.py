"""The sung song as a file: where it goes, and how it grows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from ..pipeline import frames
from .errors import UserError

FADE = 882  # samples, 20 ms, over which sung regions rise from and fall to silence
BLOCK = 1 << 20  # samples


def claim(out: Path, song: Path) -> None:
    """Raises UserError where writing `out` would touch a file that svc did not make."""
    if out.absolute() == song.absolute():
        raise UserError(f"the result would overwrite the song {song}; give another place with -o")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent} does not exist; make it, or give another place with -o")
    if out.exists():
        try:
            ours = json.loads(out.with_suffix(".json").read_text("utf-8")).get("made") == "svc render"
        except (OSError, ValueError, AttributeError):
            ours = False
        if not ours:
            raise UserError(f"{out} exists and was not made by svc render; move it, or give another place with -o")


def place(song: Path, speaker: str, out: Path | None, songs: Sequence[Path]) -> Path:
    """Where a song's result goes: `song.SPEAKER.wav` beside it or in the folder `out`, or the file `out`.

    Of several `songs` those whose names differ only in their ending keep it.
    """
    safe = "".join("_" if letter in '/\\:*?"<>|' else letter for letter in speaker)
    namesakes = [other for other in songs if other.stem == song.stem and (out or other.parent == song.parent)]
    name = f"{song.name if len(namesakes) > 1 else song.stem}.{safe}.wav"
    if out is None:
        return song.parent / name
    if out.is_dir() or len(songs) > 1:
        out.mkdir(parents=True, exist_ok=True)
        return out / name
    if out.suffix.lower() != ".wav":
        raise UserError(f"{out} does not end in .wav; results are 16-bit WAV files")
    return out


class Sound:
    """The song as it grows: silence until sung, in a file beside the result, so that any length fits in memory."""

    def __init__(self, path: Path, samples: int):
        self.path, self.samples, self.written, self.peak = path, samples, 0, 0.0
        self.aside = path.with_name(f".{path.name}.partial")
        try:
            self.file = soundfile.SoundFile(
                self.aside, "w", frames.MEL_RATE, channels=1, format="RF64", subtype="FLOAT"
            )
        except (soundfile.LibsndfileError, OSError) as error:
            raise UserError(f"cannot write in {path.parent}: {error}; give another place with -o") from error

    def put(self, start: int, wav: NDArray[np.float32]) -> None:
        """Add samples at `start`, at or after the end of what is there; faded at both ends."""
        wav = wav[: self.samples - start].copy()
        fade = np.linspace(0, 1, min(FADE, len(wav) // 2), dtype=np.float32)
        wav[: len(fade)] *= fade
        wav[len(wav) - len(fade) :] *= fade[::-1]
        self._silence(start)
        self.file.write(wav)
        self.written = start + len(wav)
        self.peak = max(self.peak, float(np.abs(wav).max(initial=0.0)))

    def finish(self) -> float:
        """Fill up with silence, write the 16-bit WAV, turned down if it would clip; returns the gain used."""
        self._silence(self.samples)
        self.file.close()
        gain = min(1.0, 0.99 / self.peak) if self.peak > 0 else 1.0
        done = self.path.with_name(f".{self.path.name}.done")
        try:
            with soundfile.SoundFile(done, "w", frames.MEL_RATE, channels=1, format="WAV", subtype="PCM_16") as file:
                for block in soundfile.blocks(self.aside, BLOCK, dtype="float32"):
                    file.write(block * np.float32(gain))
            done.replace(self.path)
        finally:
            done.unlink(missing_ok=True)
        self.discard()
        return gain

    def discard(self) -> None:
        self.file.close()
        self.aside.unlink(missing_ok=True)

    def _silence(self, until: int) -> None:
        while self.written < until:
            count = min(BLOCK, until - self.written)
            self.file.write(np.zeros(count, np.float32))
            self.written += count
