"""Crops of a store for training: which utterances, which are held out, and what step n sees.

What a step sees depends on (seed, step) alone, so a run that was interrupted sees what it would have seen.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..pipeline import pitch
from ..pipeline.diffusion import Batch
from ..pipeline.projection import SoftProjection
from ..store import Clip, Store
from .errors import UserError
from .progress import Progress

HELD_OUT = 0.05  # of each speaker's utterances, at least one


@dataclass(frozen=True)
class Corpus:
    """The clips of one or more stores that have every column, split in two for good."""

    train: list[Clip]
    held_out: list[Clip]
    speakers: list[str]

    @property
    def digest(self) -> str:
        """Names the data: the same clips, split the same way, have the same."""
        lines = [
            f"{clip.row.audio} {clip.row.start} {clip.row.end} {clip.speaker} {clips is self.held_out}"
            for clips in (self.train, self.held_out)
            for clip in clips
        ]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def gather_corpus(stores: list[Store], progress: Progress) -> Corpus:
    """Collect the usable clips of stores made with the same settings.

    An utterance is held out by a hash of its recording, so that what is held out stays so when a corpus grows.

    Raises:
        UserError: the stores differ, or have no usable clip.
    """
    first = stores[0]
    for other in stores[1:]:
        for name, column in first.columns.items():
            theirs = other.columns.get(name)
            if theirs is None or theirs.made_by != column.made_by:
                raise UserError(
                    f"{other.location} has no column {name} made as in {first.location}; "
                    f"stores that are trained on together must be extracted with the same settings"
                )
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    unusable = 0
    for store in stores:
        for clip in store:
            if clip.missing():
                unusable += 1
            else:
                by_speaker[clip.speaker].append(clip)
    if unusable:
        progress.warn(f"{unusable} utterances lack columns and are left out; run `svc extract` again to complete them")
    if not by_speaker:
        raise UserError(
            f"{', '.join(s.location for s in stores)} holds no complete utterance to train on; "
            f"run `svc extract` again, and look at what it refused"
        )
    train: list[Clip] = []
    held_out: list[Clip] = []
    for clips in by_speaker.values():
        ranked = sorted(clips, key=lambda clip: (clip.row.audio, clip.row.start))
        # One alone must be trained on; validation then has to make do with it.
        count = max(1, round(HELD_OUT * len(ranked))) if len(ranked) > 1 else 0
        held_out += ranked[:count]
        train += ranked[count:]
    if not held_out:
        progress.warn("there is one utterance a speaker: nothing can be held out, so validation is on what is learnt")
        held_out = list(train)
    return Corpus(train, held_out, sorted(by_speaker))


def random(seed: int, *keys: int) -> np.random.Generator:
    """A generator of its own for every (seed, keys)."""
    return np.random.default_rng([seed, *keys])


class Crops:
    """Random crops of clips, drawn in proportion to length; clips shorter than a crop are used whole, and padded."""

    def __init__(self, clips: list[Clip], speakers: list[str], layer: int, frames: int, size: int, seed: int):
        self.clips, self.layer, self.frames, self.size, self.seed = clips, layer, frames, size, seed
        self.speaker_ids = {name: number for number, name in enumerate(speakers)}
        lengths = np.array([clip.row.mel_frames for clip in clips], float)
        self.weights = lengths / lengths.sum()

    def batch(self, step: int) -> dict[str, NDArray[Any]]:
        """What step `step` sees, as arrays; `to_batch` makes tensors of it."""
        generator = random(self.seed, 1, step)
        chosen = generator.choice(len(self.clips), self.size, p=self.weights)
        crops = []
        for number in chosen:
            clip = self.clips[number]
            start = int(generator.integers(0, max(0, clip.row.mel_frames - self.frames) + 1))
            crops.append(self._crop(clip, start, min(start + self.frames, clip.row.mel_frames)))
        return collate(crops)

    def whole(self, clip: Clip, limit: int) -> dict[str, NDArray[Any]]:
        """A clip from its start, at most `limit` mel frames, as a batch of one."""
        return collate([self._crop(clip, 0, min(limit, clip.row.mel_frames))])

    def _crop(self, clip: Clip, start: int, stop: int) -> dict[str, NDArray[Any]]:
        mel2ph = clip.read("mel2ph", start, stop).astype(np.int64)
        first, last = int(mel2ph.min()) - 1, int(mel2ph.max())
        # f0 is bridged over the whole clip, so that a crop's edges know their neighbours.
        f0 = clip.f0
        return {
            "hidden": clip.read(f"hidden/{self.layer}", first, last).astype(np.float32),
            "mel2ph": mel2ph - first,
            "f0": pitch.continuous(f0)[start:stop],
            "voiced": (f0[start:stop] > 0).astype(np.float32),
            "loudness": clip.read("loudness", start, stop),
            "mel": clip.read("mel", start, stop).astype(np.float32),
            "speaker": np.array(self.speaker_ids[clip.speaker], np.int64),
        }


def collate(crops: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Pad crops to one length; `mask` is 1 where they are."""
    frames = max(len(crop["mel2ph"]) for crop in crops)
    units = max(len(crop["hidden"]) for crop in crops)
    padding = {"f0": 200.0, "mel": -11.5, "loudness": -100.0}
    out: dict[str, NDArray[Any]] = {}
    for name in crops[0]:
        if name == "speaker":
            out[name] = np.stack([crop[name] for crop in crops])
            continue
        length = units if name == "hidden" else frames
        out[name] = np.stack(
            [
                np.pad(
                    crop[name],
                    [(0, length - len(crop[name])), *[(0, 0)] * (crop[name].ndim - 1)],
                    constant_values=padding.get(name, 0),
                )
                for crop in crops
            ]
        )
    out["mask"] = np.stack([np.arange(frames) < len(crop["mel2ph"]) for crop in crops]).astype(np.float32)
    return out


def to_batch(arrays: dict[str, NDArray[Any]], projection: SoftProjection, device: str) -> Batch:
    """Tensors on the device, hidden states projected to units."""
    tensors = {name: torch.from_numpy(np.asarray(value)).to(device) for name, value in arrays.items()}
    with torch.no_grad():
        units = projection(tensors.pop("hidden"))
    return Batch(units=units, **tensors)
