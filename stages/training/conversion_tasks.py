"""The conversions of held-out utterances by which a training is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ...pipeline.diffusion.batch import Batch
from .corpus import Corpus
from .crops import CropSpec

TASKS = 8  # at most
FRAMES = 215  # mel frames of each, 2.5 s
KEY = 4  # semitones up or down where there is only one speaker


@dataclass(frozen=True)
class ConversionTask:
    """A part of a held-out utterance, the number of the speaker to convert it to, and by how many semitones."""

    crop: CropSpec
    speaker: int
    key: int


def choose_tasks(corpus: Corpus, medians: Sequence[float | None]) -> list[ConversionTask]:
    """The middles of held-out utterances, speakers in turn, each to be converted to another speaker in its range.

    `medians` are the speakers' median f0 in Hz. Where there is only one speaker, the key changes instead.
    """
    by_speaker = [[clip for clip in corpus.held_out if clip.speaker == name] for name in corpus.speakers]
    turns = [
        (place, speaker) for place in range(TASKS) for speaker, clips in enumerate(by_speaker) if place < len(clips)
    ]
    tasks = []
    for number, (place, speaker) in enumerate(turns[:TASKS]):
        clip = by_speaker[speaker][place]
        frames = min(FRAMES, clip.row.mel_frames)
        start = (clip.row.mel_frames - frames) // 2
        target = (speaker + 1 + place) % len(by_speaker)
        if target == speaker and len(by_speaker) > 1:
            target = (target + 1) % len(by_speaker)
        if target == speaker:
            key = KEY if number % 2 else -KEY
        else:
            own, other = medians[speaker], medians[target]
            key = round(12 * np.log2(other / own)) if own and other else 0
        tasks.append(ConversionTask(CropSpec(clip, start, start + frames), target, key))
    return tasks


def converted(batch: Batch, tasks: Sequence[ConversionTask]) -> Batch:
    """A batch of the tasks' crops, with f0 (B, M) moved by each task's key, and speaker (B,) the target's."""
    device = batch.f0.device
    ratio = torch.tensor([2 ** (task.key / 12) for task in tasks], device=device)
    speaker = torch.tensor([task.speaker for task in tasks], device=device)
    return replace(batch, f0=batch.f0 * ratio[:, None], speaker=speaker)
