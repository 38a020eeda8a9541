"""The recordings that a store's utterances were cut from, which the training of a vocoder needs.

A store keeps features and no sound; it records the folder, the file and the sha256 of each recording. Recordings are
decoded once, as in extraction, into one file that is kept until the training ends.
"""

from __future__ import annotations

import hashlib
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.errors import UserError
from ...common.progress import Progress
from ...common.text import count
from ...pipeline import audio, frames
from ...pipeline.audio import AudioError
from ...store import Clip


class Recordings:
    """Samples of clips at 44.1 kHz, by clip number. Clips whose recording is gone or changed are left out.

    Args:
        clips: the wanted ones; the attribute `clips` has those whose recordings exist.
        cache: a .npy file to decode into.

    Raises:
        UserError: no recording is there.
    """

    def __init__(self, clips: list[Clip], cache: Path, progress: Progress):
        there = {source: why for source in {_source(clip) for clip in clips} if (why := _trouble(*source))}
        self.clips = [clip for clip in clips if _source(clip) not in there]
        if there:
            (path, _), why = next(iter(sorted(there.items())))
            problem = f"{count(len(there), 'recording')} cannot be read, {path} first: {why}"
            if not self.clips:
                raise UserError(
                    f"{problem}. A vocoder is trained on the recordings, which are not in the store",
                    "Put the corpus back where it was at `svc extract`, or extract it again from where it is now",
                )
            progress.warn(f"{problem}; left out: {count(len(clips) - len(self.clips), 'utterance')}")
        self.starts = np.cumsum([0, *(clip.row.mel_frames for clip in self.clips)]) * frames.MEL_HOP
        self.path = cache
        named = "\n".join(f"{clip.row.audio} {clip.row.start} {clip.row.end}" for clip in self.clips)
        mark, digest = cache.with_suffix(".txt"), hashlib.sha256(named.encode()).hexdigest()
        if not (cache.exists() and mark.exists() and mark.read_text() == digest):
            mark.unlink(missing_ok=True)
            self._decode(progress)
            mark.write_text(digest)
        self.samples: NDArray[np.float32] = np.load(cache, mmap_mode="r")

    def read(self, number: int, start: int, stop: int) -> NDArray[np.float32]:
        """Mel frames [start, stop) of clip `number`: float32 (T,), T = 512 (stop - start)."""
        first = int(self.starts[number])
        return np.array(self.samples[first + start * frames.MEL_HOP : first + stop * frames.MEL_HOP])

    def forget(self) -> None:
        """Remove the decoded file."""
        del self.samples
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".txt").unlink(missing_ok=True)

    def _decode(self, progress: Progress) -> None:
        out = np.lib.format.open_memmap(self.path, "w+", np.float32, (int(self.starts[-1]),))
        # In the order of each recording, so that it is decoded once.
        order = sorted(range(len(self.clips)), key=lambda n: (_source(self.clips[n]), self.clips[n].row.start))
        with progress.bar("decoding", len(order), "utterance") as bar:
            for (path, _), numbers in groupby(order, key=lambda n: _source(self.clips[n])):
                recording = audio.scan(path)
                with audio.Reader(recording) as reader:
                    for number in numbers:
                        row = self.clips[number].row
                        mono = reader.read(row.start, row.end)
                        begin, end = int(self.starts[number]), int(self.starts[number + 1])
                        out[begin:end] = audio.resample(mono, recording.sample_rate, frames.MEL_RATE, end - begin)
                        bar.advance()
        out.flush()


def _source(clip: Clip) -> tuple[Path, str]:
    return Path(clip.utterance.corpus) / clip.utterance.source, clip.row.audio


def _trouble(path: Path, sha256: str) -> str | None:
    """Why a recording cannot be used, or None."""
    try:
        found = audio.file_hash(path)
    except AudioError as error:
        return str(error)
    return None if found == sha256 else "it has changed since it was extracted"
