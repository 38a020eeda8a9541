"""index.safetensors of a run: frames of each speaker's utterances, so that rendering retrieves units without the store.

`hidden.N` (frames, width) are whole utterances of speaker N, one after the other, in the store's dtype; the record has
the length of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..common.errors import UserError
from ..common.progress import Progress
from ..common.text import count
from ..pipeline.frames import UNIT_RATE
from ..store import Clip, Store
from . import checkpoint
from .run import Run

SPEAKER_FRAMES = 30_000  # of a speaker at most, 10 minutes
TOTAL_FRAMES = 240_000  # of all speakers at most: 370 MB of a layer that is 768 wide, in float16
LEAST_FRAMES = 500  # of a speaker, 10 s, however many there are


@dataclass(frozen=True)
class IndexRecord:
    """The metadata of index.safetensors.

    Attributes:
        column: the stored column that the frames are of.
        speakers: the run's, by number.
        lengths: frames of each utterance, for each speaker.
    """

    column: str
    speakers: tuple[str, ...]
    lengths: tuple[tuple[int, ...], ...]


def write_index(run: Run, stores: Sequence[Store], progress: Progress) -> None:
    """Write a run's index from the stores that it is trained on, unless it has one.

    Raises UserError when they hold nothing of one of its speakers.
    """
    if run.index.exists():
        return
    column = run.config.unit_column.name
    by_speaker: dict[str, list[Clip]] = {name: [] for name in run.speakers}
    for store in stores:
        for clip in store:
            if clip.speaker in by_speaker and not clip.missing():
                by_speaker[clip.speaker].append(clip)
    most = min(SPEAKER_FRAMES, max(LEAST_FRAMES, TOTAL_FRAMES // len(run.speakers)))
    tensors: dict[str, Tensor] = {}
    lengths: list[tuple[int, ...]] = []
    for number, (name, clips) in enumerate(by_speaker.items()):
        arrays = [clip.read(column) for clip in evenly(clips, most)]
        if not arrays:
            raise UserError(f"{', '.join(s.location for s in stores)}: no complete utterance of {name}")
        lengths.append(tuple(map(len, arrays)))
        tensors[f"hidden.{number}"] = torch.from_numpy(np.concatenate(arrays))
    checkpoint.save(run.index, tensors, asdict(IndexRecord(column, tuple(run.speakers), tuple(lengths))))
    minutes = sum(map(sum, lengths)) / UNIT_RATE / 60
    size = run.index.stat().st_size / 1e6
    progress.say(
        f"retrieval index: {minutes:.1f} minutes of {count(len(lengths), 'speaker')}, {size:.1f} MB in the run"
    )


def load_index(path: Path) -> tuple[dict[str, Tensor], IndexRecord]:
    """The tensors of an index and its record. Raises UserError if damaged; its hint says how to render without it."""
    try:
        return checkpoint.load_record(path, IndexRecord)
    except UserError as error:
        raise UserError(error.message, _HINT) from error


def read_index(run: Run, number: int) -> list[Tensor]:
    """The utterances of speaker `number` of a run in its index: (frames, width) each.

    Raises UserError when the index is damaged or of another run.
    """
    path: Path = run.index
    tensors, record = load_index(path)
    hidden = tensors.get(f"hidden.{number}")
    width = run.config.unit_column.width
    expected = (run.config.unit_column.name, tuple(run.speakers), len(run.speakers))
    if (record.column, record.speakers, len(record.lengths)) != expected or hidden is None:
        raise UserError(f"{path} is of another run: its column or its speakers differ", _HINT)
    lengths = record.lengths[number]
    if hidden.shape != (sum(lengths), width) or min(lengths, default=0) < 1 or not hidden.isfinite().all():
        raise UserError(f"{path} is damaged: hidden.{number} does not fit its record", _HINT)
    return list(hidden.split(list(lengths)))


def evenly(clips: Sequence[Clip], most: int) -> list[Clip]:
    """Whole utterances, spread evenly over `clips`: all of them, or about `most` unit frames."""
    total = sum(clip.row.unit_frames for clip in clips)
    if total <= most:
        return list(clips)
    number = max(1, len(clips) * most // total)
    return [clips[place * len(clips) // number] for place in range(number)]


_HINT = (
    "Render without it: --retrieve 0. Or restore it from a copy, or remove it: "
    "`svc train` and `svc pack` write it again, from the store that --store names"
)
