"""Files to take away: the whole song, its stems, a folder of takes; each with tags that say what made it."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from ...common.errors import UserError
from ...common.progress import Progress
from ...pipeline import audio
from ...pipeline.frames import MEL_RATE
from ..rendering import content_credentials, provenance
from ..rendering.formats import FORMATS
from .comp import Pick, comp, mix
from .schemas import Phrase

BLOCK = 65_536  # samples a write: libsndfile's Vorbis encoder overflows on larger ones


@dataclass(frozen=True)
class Part:
    """A song or one of its parts, as it is exported. `sing`: its comp; else its own sound, untouched."""

    name: str
    source: Path
    sing: bool
    gain_db: float
    seconds: float
    phrases: list[Phrase]
    picks: list[Pick]

    @classmethod
    def of(cls, given: dict[str, Any]) -> Part:
        """From the record that the export job was given."""
        phrases = [Phrase(**phrase) for phrase in given["phrases"]]
        picks = [Pick(phrases[p["phrase"]], Path(p["file"]), p["start"]) for p in given["picks"]]
        return cls(
            given["name"], Path(given["source"]), given["sing"], given["gain_db"], given["seconds"], phrases, picks
        )

    def track(self) -> NDArray[np.float32]:
        """Mono (T,), or of the source's channels (T, C), at 44.1 kHz."""
        if self.sing:
            return comp(self.picks, self.phrases, round(self.seconds * MEL_RATE))
        wav, rate = soundfile.read(self.source, dtype="float32", always_2d=True)
        columns = [audio.resample(np.ascontiguousarray(column), rate, MEL_RATE) for column in wav.T[:2]]
        return np.stack(columns, 1)


def export(given: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Write what was asked for to `given["out"]`, whole or not at all.

    Raises:
        UserError: nothing was picked yet.
    """
    out, suffix, about = Path(given["out"]), "." + given["format"], given["about"]
    parts = [Part.of(part) for part in given["parts"]]
    if not any(part.picks for part in parts if part.sing):
        raise UserError("no phrase has a take yet; convert the song first")
    with tempfile.TemporaryDirectory(prefix=".svc-", dir=out.parent) as place:
        made = Path(place) / ("made" + (suffix if given["what"] == "whole" else ".zip"))
        with progress.bar("exporting", 1, "file") as bar:
            gain = 1.0
            if given["what"] == "whole":
                mixed, gain = mix([(part.track(), part.gain_db) for part in parts])
                write(made, mixed, given["title"], about)
            elif given["what"] == "stems":
                _zip(made, _stems(parts, Path(place), suffix, given["title"], about))
            else:
                _zip(made, [(take["name"], Path(take["file"])) for take in given["takes"]])
            bar.advance()
        made.replace(out)
    return {"bytes": out.stat().st_size, "turned_down_db": round(-20 * float(np.log10(gain)), 2)}


def write(path: Path, wav: NDArray[np.float32], title: str, about: dict[str, Any], depth: str = "24") -> None:
    """Write (T, C) or (T,) at 44.1 kHz in the format that the ending names, with its tags; Content Credentials too."""
    form, depths = FORMATS[path.suffix]
    wide = wav[:, None] if wav.ndim == 1 else wav
    subtype = depths.get(depth) or next(iter(depths.values()))
    with soundfile.SoundFile(path, "w", MEL_RATE, wide.shape[1], subtype, format=form) as file:
        provenance.tag(file, about, title)
        for start in range(0, len(wide), BLOCK):
            file.write(wide[start : start + BLOCK])
    with path.open("r+b") as written:
        content_credentials.sign(written, path.suffix, title, about)


def _stems(parts: list[Part], place: Path, suffix: str, title: str, about: dict[str, Any]) -> list[tuple[str, Path]]:
    stems = []
    for number, part in enumerate(parts, 1):
        name = f"{number:02d}-{'voice' if part.sing else 'backing'}{suffix}"
        write(place / name, mix([(part.track(), part.gain_db)])[0], f"{title}: {part.name}", about)
        stems.append((name, place / name))
    return stems


def _zip(path: Path, files: list[tuple[str, Path]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, file in files:
            archive.write(file, name)
