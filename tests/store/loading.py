"""The code of a data loader's workers, in a file of its own, since they import it by name."""

from __future__ import annotations

import os

import numpy as np
from svc.stages.training.crop_sampler import CropSampler
from svc.store import Store


class Steps:
    """Step n of a training, as one array: the crops that the draw names, hidden states and mel side by side."""

    def __init__(self, store: Store, steps: int, rank: int = 0, world: int = 1):
        self.store, self.steps, self.rank, self.world = store, steps, rank, world
        self.draw = CropSampler([clip.row.mel_frames for clip in store], 40, 6, seed=9)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[int, list[np.ndarray]]:
        clips = [self.store[crop.clip] for crop in self.draw.step(step, self.rank, self.world)]
        crops = self.draw.step(step, self.rank, self.world)
        return os.getpid(), [
            np.concatenate([clip.read(name, crop.start, crop.stop).ravel() for name in ("mel", "f0", "mel2ph")])
            for clip, crop in zip(clips, crops, strict=True)
        ]


def first(batch: list[tuple[int, list[np.ndarray]]]) -> tuple[int, list[np.ndarray]]:
    return batch[0]
