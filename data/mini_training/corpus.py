"""A corpus on disk: the 16 kHz samples of many clips in one file, and a list of the clips.

`NAME.pcm` holds int16 samples, clip after clip; each clip begins and ends on a multiple of 320 samples, so that frame
`start // 320 + i` of the corpus is frame `i` of the clip. `NAME.jsonl` has one line per clip. Both files are only ever
appended to, the samples first, so a writer that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...pipeline.frames import CONTENT_HOP, CONTENT_RATE

RATE, HOP = CONTENT_RATE, CONTENT_HOP  # Hz, and samples per frame of the student and of the teacher

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """Where a clip lies in its corpus, in samples, and what is known of it."""

    name: str
    start: int
    samples: int
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def frames(self) -> slice:
        """Its frames of 20 ms, counted from the beginning of the corpus."""
        return slice(self.start // HOP, (self.start + self.samples) // HOP)


class Corpus:
    """The clips of one corpus, memory-mapped."""

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        self.clips = list(read_clips(folder / f"{name}.jsonl"))
        self._pcm: NDArray[np.int16] | None = None

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def pcm(self) -> NDArray[np.int16]:
        """All samples of the corpus at 16 kHz, (T,), mapped when first used."""
        if self._pcm is None:
            self._pcm = np.memmap(self.folder / f"{self.name}.pcm", np.int16, "r")
        return self._pcm

    def samples(self, clip: Clip, start: int = 0, count: int | None = None) -> Samples:
        """Samples of a clip from `start` on, at most `count`: float32 (T,) at 16 kHz, -1 to 1."""
        end = clip.samples if count is None else min(clip.samples, start + count)
        return self.part(clip.start + start, end - start)

    def part(self, start: int, count: int) -> Samples:
        """`count` samples from sample `start` of the corpus on: float32 (count,) at 16 kHz, -1 to 1."""
        return np.asarray(self.pcm[start : start + count], np.float32) / np.float32(32768)

    @property
    def frames(self) -> int:
        """How many frames of 20 ms all clips have."""
        return sum(clip.samples for clip in self.clips) // HOP

    def file(self, kind: str) -> Path:
        """The path of what is stored for each frame of this corpus: `kind` is its ending, such as phones.u8."""
        return self.folder / f"{self.name}.{kind}"


def read_clips(path: Path) -> Iterator[Clip]:
    """The clips that a corpus's list names; none where there is no list. An incomplete last line is left out."""
    if not path.exists():
        return
    for line in path.read_text("utf-8").splitlines(keepends=True):
        if line.endswith("\n"):  # a line without its end was being written when the writer was stopped
            record = json.loads(line)
            yield Clip(record.pop("name"), record.pop("start"), record.pop("samples"), record)


class CorpusWriter:
    """Appends clips to a corpus."""

    def __init__(self, folder: Path, name: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.list_path, self.pcm_path = folder / f"{name}.jsonl", folder / f"{name}.pcm"
        clips = list(read_clips(self.list_path))
        self.done = {clip.name for clip in clips}
        self.end = max((clip.start + clip.samples for clip in clips), default=0)
        self.pcm_path.touch()
        with self.pcm_path.open("r+b") as file:
            file.truncate(2 * self.end)
        lines = [json.dumps({"name": c.name, "start": c.start, "samples": c.samples, **c.metadata}) for c in clips]
        self.list_path.write_text("".join(line + "\n" for line in lines), "utf-8")

    def add(self, name: str, wav: Samples, **metadata: Any) -> None:
        """Append a clip, float32 (T,) at 16 kHz, cut to whole frames of 20 ms. `metadata` is listed with it."""
        samples = len(wav) // HOP * HOP
        pcm = np.clip(np.round(wav[:samples] * 32768), -32768, 32767).astype("<i2")
        with self.pcm_path.open("ab") as file:
            file.write(pcm.tobytes())
        record = {"name": name, "start": self.end, "samples": samples, **metadata}
        with self.list_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self.end += samples
        self.done.add(name)
