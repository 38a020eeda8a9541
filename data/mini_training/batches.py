"""Inputs and targets of a training step: crops of recordings, of their changed copies, and of synthetic singers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .augment import faster, spoilt
from .corpus import HOP, RATE, Corpus, Samples
from .targets import SCALE, WIDTH

COPIES = 0.6  # share of changed copies among the crops of recordings
SPEED = 0.13  # logarithm, at most

Frames = NDArray[np.float32]
Times = NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """One training step.

    Attributes:
        wavs: float32 (B, T) at 16 kHz.
        targets: by layer, the teacher's states of the first b rows: float32 (b, T // 320, width).
        phones: of the other rows, numbers into `svc.data.singers.NAMES`: (B - b, T // 320).
    """

    wavs: Samples
    targets: dict[int, Frames]
    phones: NDArray[np.int64]


class Recordings:
    """A corpus with targets, and its changed copies."""

    def __init__(self, folder: Path, name: str, layers: Sequence[int], clips: int | None = None):
        self.corpus = Corpus(folder, name)
        files = {layer: self.corpus.file(f"target{layer}.i8") for layer in layers}
        self.targets: dict[int, Any] = {
            layer: np.memmap(path, np.int8, "r").reshape(-1, WIDTH) for layer, path in files.items()
        }
        self.frames = min(len(target) for target in self.targets.values())
        self.copies: list[tuple[Corpus, Times]] = []
        for path in sorted(folder.glob(f"{name}-v*.jsonl")):
            copy = Corpus(folder, path.stem)
            relative = np.fromfile(copy.file("map.f32"), np.float32)
            absolute = np.zeros(copy.frames)
            for clip in copy.clips:
                original = self.corpus.clips[clip.metadata["of"]].frames
                absolute[clip.frames] = original.start + np.clip(
                    relative[clip.frames], 0, original.stop - original.start - 1
                )
            known = int(np.searchsorted(absolute, self.frames - 2))
            if known > 40 * 50:
                self.copies.append((copy, absolute[:known]))

    def crop(self, samples: int, generator: np.random.Generator) -> tuple[Samples, dict[int, Frames]]:
        """A drawn crop, float32 (samples,) at 16 kHz, and by layer its targets, float32 (samples // 320, width)."""
        speed = float(np.exp(generator.uniform(-SPEED, SPEED))) if generator.random() < 0.5 else 1.0
        need = int(samples * speed) + HOP
        corpus, frames = self.corpus, self.frames
        absolute: Times | None = None
        if self.copies and generator.random() < COPIES:
            corpus, absolute = self.copies[int(generator.integers(len(self.copies)))]
            frames = len(absolute)
        start = int(generator.integers(frames * HOP - need - HOP)) // HOP * HOP
        wav = corpus.part(start, need)
        wav = (faster(wav, speed) if speed != 1 else wav)[:samples]
        at: Times = start / HOP + ((np.arange(samples // HOP, dtype=np.float64) + 0.5) * speed - 0.5)
        if absolute is not None:
            at = interpolated(absolute, at)
        low = np.floor(np.clip(at, 0, self.frames - 2)).astype(int)
        part = np.clip(at - low, 0, 1)[:, None].astype(np.float32)
        wanted = {}
        for layer, target in self.targets.items():
            first, span = low.min(), low.max() + 2
            if span - first < 8 * len(low):
                near = target[first:span].astype(np.float32) / SCALE
                wanted[layer] = near[low - first] * (1 - part) + near[low - first + 1] * part
            else:
                wanted[layer] = (target[low] * (1 - part) + target[low + 1] * part).astype(np.float32) / SCALE
        return wav, wanted


def interpolated(values: Times, at: Times) -> Times:
    """Values (N,) at fractional indices (M,), by linear interpolation: (M,). Across a jump (a new clip), the nearer."""
    low = np.clip(np.floor(at).astype(int), 0, len(values) - 2)
    part = at - low
    step = values[low + 1] - values[low]
    nearest = values[np.round(at).clip(0, len(values) - 1).astype(int)]
    return np.asarray(np.where(np.abs(step) < 4, values[low] + part * step, nearest))


class Singers:
    """Synthetic singers with phones."""

    def __init__(self, folder: Path, name: str):
        self.corpus = Corpus(folder, name)
        self.phones = np.fromfile(self.corpus.file("phones.u8"), np.uint8)

    def crop(self, samples: int, generator: np.random.Generator) -> tuple[Samples, NDArray[np.int64]]:
        """A drawn crop, float32 (samples,) at 16 kHz, and the phone of each frame, (samples // 320,)."""
        speed = float(np.exp(generator.uniform(-0.16, 0.16))) if generator.random() < 0.5 else 1.0
        need = int(samples * speed) + HOP
        start = int(generator.integers(min(len(self.corpus.pcm), len(self.phones) * HOP) - need)) // HOP * HOP
        wav = self.corpus.part(start, need)
        at = start // HOP + ((np.arange(samples // HOP) + 0.5) * speed).astype(int)
        return (faster(wav, speed) if speed != 1 else wav)[:samples], self.phones[at].astype(np.int64)


def batch(
    recordings: Sequence[Recordings],
    shares: Sequence[float],
    singers: Singers | None,
    seconds: float,
    generator: np.random.Generator,
) -> Batch:
    """Crops of one drawn length, `seconds` of them together, a fifth of them of singers."""
    length = float(generator.choice([2.0, 4.0, 8.0, 16.0], p=[0.2, 0.4, 0.3, 0.1]))
    samples, count = int(length * RATE), max(1, round(seconds / length))
    sung = 0 if singers is None else max(1, round(0.2 * count))
    wavs, wanted, phones = [], [], []
    for _ in range(max(1, count - sung)):
        chosen = recordings[int(generator.choice(len(recordings), p=np.array(shares) / sum(shares)))]
        wav, target = chosen.crop(samples, generator)
        wavs.append(wav)
        wanted.append(target)
    for _ in range(sung):
        assert singers is not None
        wav, labels = singers.crop(samples, generator)
        wavs.append(wav)
        phones.append(labels)
    augmented = np.stack([spoilt(wav, generator) if generator.random() < 0.8 else wav for wav in wavs])
    layers = wanted[0].keys()
    return Batch(
        augmented,
        {layer: np.stack([each[layer] for each in wanted]) for layer in layers},
        np.stack(phones) if phones else np.zeros((0, samples // HOP), np.int64),
    )
