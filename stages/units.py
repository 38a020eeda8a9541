"""The first half of training: k-means codes and the soft projection, from the store alone."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

from ..pipeline.projection import Codebook, SoftProjection, soft_loss
from ..store import Clip
from .dataset import Corpus, random
from .progress import Progress
from .settings import TrainSettings

CODE_FRAMES = 400_000  # frames that k-means looks at, at most: more change the centroids little
BATCH_CLIPS = 8


@dataclass(frozen=True)
class UnitsReport:
    """How well the soft projection tells the codes of held-out utterances; `chance` is always saying the commonest."""

    codes: int
    accuracy: float
    chance: float
    seconds: float


def train_units(
    corpus: Corpus, code_layer: int, unit_layer: int, settings: TrainSettings, progress: Progress
) -> tuple[Codebook, SoftProjection, UnitsReport]:
    """Cluster `code_layer`, then learn to tell the clusters from `unit_layer`. The same store gives the same units."""
    begun = time.monotonic()
    codebook = _cluster(corpus.train, code_layer, settings, progress)
    codes = len(codebook.centroids)
    torch.manual_seed(settings.seed)
    width = corpus.train[0].hidden(unit_layer).shape[1]
    projection = SoftProjection(width, settings.unit_dim, codes)
    optimizer = torch.optim.AdamW(projection.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-2)
    with progress.bar("soft projection", settings.unit_steps, "step") as bar:
        for step in range(settings.unit_steps):
            chosen = random(settings.seed, 2, step).choice(len(corpus.train), BATCH_CLIPS)
            clips = [corpus.train[number] for number in chosen]
            target, hidden = (_frames(clips, layer) for layer in (code_layer, unit_layer))
            loss = soft_loss(projection, hidden, codebook(target))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(projection.parameters(), 10.0)
            optimizer.step()
            if step % 20 == 0:
                bar.note(f"loss {loss.item():.3f}")
            bar.advance()
    projection.eval().requires_grad_(False)
    accuracy, chance = _accuracy(corpus, code_layer, unit_layer, codebook, projection)
    return codebook, projection, UnitsReport(codes, accuracy, chance, time.monotonic() - begun)


def unit_statistics(clips: list[Clip], layer: int, projection: SoftProjection) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of each unit dimension over a sample of clips: (unit_dim,) each."""
    units = projection(_frames(clips[:200], layer))
    return units.mean(0), units.std(0).clamp(min=1e-3)


def _cluster(clips: list[Clip], layer: int, settings: TrainSettings, progress: Progress) -> Codebook:
    """k-means over frames read clip by clip, so that any corpus fits in memory."""
    total = min(CODE_FRAMES, sum(clip.row.unit_frames for clip in clips))
    codes = min(settings.codes, max(2, total // 20))
    if codes < settings.codes:
        progress.warn(f"{total} frames are too few for {settings.codes} codes; {codes} are made")
    means = MiniBatchKMeans(codes, random_state=settings.seed, n_init=1, batch_size=4096, reassignment_ratio=0.01)
    chunk = max(4096, 10 * codes)
    waiting: list[NDArray[np.float32]] = []
    with progress.bar("codes", 3 * total, "frame") as bar, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch in range(3):
            seen = 0
            for number in random(settings.seed, 0, epoch).permutation(len(clips)):
                waiting.append(clips[number].hidden(layer).astype(np.float32))
                seen += len(waiting[-1])
                bar.advance(len(waiting[-1]))
                if sum(map(len, waiting)) >= chunk:
                    means.partial_fit(np.concatenate(waiting))
                    waiting = []
                if seen >= total:
                    break
        if waiting and sum(map(len, waiting)) >= codes:
            means.partial_fit(np.concatenate(waiting))
    return Codebook(torch.from_numpy(means.cluster_centers_.astype(np.float32)))


def _frames(clips: list[Clip], layer: int) -> torch.Tensor:
    """All hidden states of some clips: float32 (frames, hidden)."""
    return torch.from_numpy(np.concatenate([clip.hidden(layer) for clip in clips]).astype(np.float32))


def _accuracy(
    corpus: Corpus, code_layer: int, unit_layer: int, codebook: Codebook, projection: SoftProjection
) -> tuple[float, float]:
    clips = corpus.held_out[:50]
    truth = codebook(_frames(clips, code_layer))
    told = projection.logits(projection(_frames(clips, unit_layer))).argmax(-1)
    commonest = torch.bincount(truth).max().item() / len(truth)
    return (told == truth).float().mean().item(), commonest
