"""Exported files: the whole song, its stems, a folder of takes; each with tags about its origin."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from ...common.errors import UserError
from ...common.files import write_whole
from ...common.progress import Progress
from ...pipeline import audio
from ...pipeline.frames import MEL_RATE
from ...pipeline.sample_buffer import SampleBuffer
from ..rendering import content_credentials, provenance
from ..rendering.formats import FORMATS
from ..rendering.limiter import limited
from ..rendering.parts_mix import PartsMix, PartTrack, WholeTrack
from ..rendering.separation import stereo_blocks
from ..rendering.writing import SourceLength, write_output
from ..settings import OutputSettings
from .comp import Pick, comp
from .schemas import Phrase


@dataclass(frozen=True)
class ExportPart:
    """A song or one of its parts, as it is exported. `sing`: its comp; else its own sound, untouched."""

    name: str
    source: Path
    sing: bool
    gain_db: float
    begins: float
    ends: float | None
    seconds: float
    phrases: list[Phrase]
    picks: list[Pick]

    @classmethod
    def of(cls, given: dict[str, Any]) -> ExportPart:
        """From the record of the export job."""
        phrases = [Phrase(**phrase) for phrase in given["phrases"]]
        picks = [Pick(phrases[p["phrase"]], Path(p["file"]), p["start"]) for p in given["picks"]]
        fields = {name: given[name] for name in ("name", "sing", "gain_db", "begins", "ends", "seconds")}
        return cls(source=Path(given["source"]), phrases=phrases, picks=picks, **fields)

    def track(self, folder: Path, opened: ExitStack) -> PartTrack:
        """Its sound at 44.1 kHz with its gain and times. Files that it opens in `folder` are closed with `opened`."""
        sound = SampleBuffer(MEL_RATE, 1 if self.sing else 2, folder)
        opened.callback(sound.close)
        if self.sing:
            sound.append(comp(self.picks, self.phrases, round(self.seconds * MEL_RATE))[:, None])
        else:
            decoded = audio.decode(self.source, folder)
            opened.callback(decoded.close)
            for pair, _ in stereo_blocks(decoded):
                sound.append(pair.T)
        return PartTrack(WholeTrack(sound), self.gain_db, self.begins, self.ends)


def export(given: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Write the requested files to `given["out"]`, whole or not at all.

    Raises:
        UserError: nothing was picked yet.
    """
    out, suffix, about, title = Path(given["out"]), "." + given["format"], given["about"], given["title"]
    parts = [ExportPart.of(part) for part in given["parts"]]
    if not any(part.picks for part in parts if part.sing):
        raise UserError("no phrase has a take yet; convert the song first")
    notes: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix=".svc-", dir=out.parent) as name,
        progress.bar("exporting", 1, "file") as bar,
    ):
        place = Path(name)
        made = place / ("made" + (suffix if given["what"] == "whole" else ".zip"))
        if given["what"] == "whole":
            notes = write_mix(parts, made, title, about)
        elif given["what"] == "stems":
            stems = []
            for number, part in enumerate(parts, 1):
                stems.append(place / f"{number:02d}-{'voice' if part.sing else 'backing'}{suffix}")
                notes += write_mix([part], stems[-1], f"{title}: {part.name}", about)
            _zip(made, [(stem.name, stem) for stem in stems])
        else:
            _zip(made, [(take["name"], Path(take["file"])) for take in given["takes"]])
        bar.advance()
        made.replace(out)
    return {"bytes": out.stat().st_size, "notes": notes}


def write_mix(parts: Sequence[ExportPart], out: Path, title: str, about: dict[str, Any]) -> list[str]:
    """Mix parts as `svc render --parts` does and write them; returns what was done to peaks that did not fit."""
    depths = FORMATS[out.suffix][1]
    settings = OutputSettings(bit_depth="24" if "24" in depths else next(iter(depths)))
    length = SourceLength(max(round(part.seconds * MEL_RATE) for part in parts), MEL_RATE)
    with ExitStack() as opened:
        mix = PartsMix([part.track(out.parent, opened) for part in parts])
        return limited(write_output(mix, out, settings, length, about=about, title=title))


def write_take(path: Path, wav: NDArray[np.float32], title: str, about: dict[str, Any]) -> None:
    """Write a take, float32 (T,) at 44.1 kHz, as FLAC with its tags; Content Credentials too where they are wanted.

    It is encoded in memory first: the file is whole or not there. Raises OSError where the disk does not take it.
    """
    encoded = io.BytesIO()
    with soundfile.SoundFile(encoded, "w", MEL_RATE, 1, "PCM_24", format="FLAC") as file:
        provenance.tag(file, about, title)
        file.write(wav)
    content_credentials.sign(encoded, path.suffix, title, about)
    write_whole(path, encoded.getvalue())


def _zip(path: Path, files: list[tuple[str, Path]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, file in files:
            archive.write(file, name)
