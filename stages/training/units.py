"""The first half of training: k-means codes and the soft projection (van Niekerk et al., 2022, arXiv 2111.02392)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...common.progress import Progress
from ...common.random import ChoiceStream, numpy_generator
from ...common.text import count
from ...pipeline.clusters import epoch, plus_plus
from ...pipeline.projection import Codebook, SoftProjection, soft_loss
from ...store import Clip
from ..checkpoint_records import UnitsRecord
from ..settings import TrainSettings
from .columns import frames
from .corpus import Corpus
from .statistics import spread

SAMPLE_FRAMES = 20_000  # frames for the initialisation of k-means: k-means++ and some epochs
SAMPLE_EPOCHS = 10
CODE_FRAMES = 1_000_000  # of an epoch over the store, at most: more change the centroids little
EPOCHS = 3
PIECE_FRAMES = 8_192
BATCH_CLIPS = 8
HELD_OUT_CLIPS = 50  # held-out clips that accuracy is measured on


@dataclass(frozen=True)
class Layers:
    """The hidden layer that is clustered, and the column that units are computed from."""

    codes: int
    units: str

    @property
    def same(self) -> bool:
        """Whether units are made of the layer that the codes are of."""
        return self.units == f"hidden/{self.codes}"


def train_units(
    corpus: Corpus, layers: Layers, settings: TrainSettings, device: str, progress: Progress
) -> tuple[Codebook, nn.Module, UnitsRecord]:
    """Train the codes and the projection from hidden states to units.

    Returns the codebook, the projection ((frames, width) -> (frames, unit_dim); the identity unless units are `soft`),
    and the accuracy on held-out clips. The same store and seed give the same units.
    """
    begun = time.monotonic()
    codebook = cluster(corpus.train, layers.codes, settings, device, progress)
    truth = codebook(frames(spread(corpus.held_out, HELD_OUT_CLIPS), f"hidden/{layers.codes}", device))
    chance = torch.bincount(truth).max().item() / len(truth)
    projection: nn.Module = nn.Identity()
    accuracy = loss = None
    if settings.units == "soft":
        projection = train_projection(corpus, layers, codebook, settings.unit_dim, settings, device, progress)
        accuracy, loss = evaluate_projection(corpus, layers, codebook, projection, device)
    report = UnitsRecord(len(codebook.centroids), accuracy, loss, chance, time.monotonic() - begun)
    return codebook.cpu(), projection.cpu(), report


def cluster(clips: list[Clip], layer: int, settings: TrainSettings, device: str, progress: Progress) -> Codebook:
    """Cluster the frames of a hidden layer by k-means, reading clip by clip, so that any corpus fits in memory.

    There are `settings.codes` centroids, or fewer where there are less than 20 frames for each.
    """
    there = sum(clip.row.unit_frames for clip in clips)
    codes = min(settings.codes, max(2, there // 20))
    if codes < settings.codes:
        progress.warn(f"{count(there, 'frame')} are too few for {settings.codes} codes; {codes} are made")
    total = min(CODE_FRAMES, there)
    generator = torch.Generator().manual_seed(settings.seed)
    column = f"hidden/{layer}"
    with progress.bar("codes", EPOCHS * total, "frame") as bar:
        sample = torch.cat(list(_stream(clips, column, settings.seed, 0, SAMPLE_FRAMES, device)))
        centroids = plus_plus(sample, codes, generator)
        for _ in range(SAMPLE_EPOCHS):
            centroids, _ = epoch(centroids, sample.split(PIECE_FRAMES))
        for number in range(EPOCHS):
            pieces = _stream(clips, column, settings.seed, number + 1, total, device)
            centroids, distance = epoch(centroids, _counted(pieces, bar.advance))
            bar.note(f"distance {distance:.3f}")
    return Codebook(centroids)


def train_projection(
    corpus: Corpus,
    layers: Layers,
    codebook: Codebook,
    unit_dim: int,
    settings: TrainSettings,
    device: str,
    progress: Progress,
) -> SoftProjection:
    """Train a projection to units, `unit_dim` wide, that predict the codes of the same frames.

    If the store has formant-shifted columns, every other step takes its input from one of them and keeps the codes of
    the recording, so that the projection learns to ignore the vocal tract.
    """
    formant_shifted = [name for _, name in sorted(corpus.formant_shifts(layers.units).items())]
    torch.manual_seed(settings.seed)
    projection = SoftProjection(_width(corpus, layers), unit_dim, len(codebook.centroids)).to(device)
    optimizer = torch.optim.AdamW(projection.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-2)
    with progress.bar(f"soft projection, {unit_dim} wide", settings.unit_steps, "step") as bar:
        for step in range(settings.unit_steps):
            generator = numpy_generator(settings.seed, ChoiceStream.PROJECTION, step)
            clips = [corpus.train[number] for number in generator.choice(len(corpus.train), BATCH_CLIPS)]
            column = str(generator.choice(formant_shifted)) if formant_shifted and step % 2 else layers.units
            target, hidden = (frames(clips, name, device) for name in (f"hidden/{layers.codes}", column))
            loss = soft_loss(projection, hidden, codebook(target))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(projection.parameters(), 10.0)
            optimizer.step()
            if step % 20 == 0:
                bar.note(f"loss {loss.item():.3f}")
            bar.advance()
    return projection.eval().requires_grad_(False)


@torch.no_grad()
def evaluate_projection(
    corpus: Corpus, layers: Layers, codebook: Codebook, projection: nn.Module, device: str
) -> tuple[float, float]:
    """The share of held-out frames whose code is predicted from the units, and the cross-entropy."""
    assert isinstance(projection, SoftProjection)
    clips = spread(corpus.held_out, HELD_OUT_CLIPS)
    truth = codebook(frames(clips, f"hidden/{layers.codes}", device))
    hidden = frames(clips, layers.units, device)
    predicted = projection.logits(projection(hidden)).argmax(-1)
    return (predicted == truth).float().mean().item(), soft_loss(projection, hidden, truth).item()


def _width(corpus: Corpus, layers: Layers) -> int:
    return corpus.train[0].store.column(layers.units).width


def _stream(clips: list[Clip], column: str, seed: int, number: int, most: int, device: str) -> Iterator[Tensor]:
    """Frames of whole clips, (frames, width) in pieces, until `most` were read. Each `number` has another order."""
    waiting: list[Clip] = []
    seen = held = 0
    for index in numpy_generator(seed, ChoiceStream.CLUSTERING, number).permutation(len(clips)):
        waiting.append(clips[index])
        held += clips[index].row.unit_frames
        seen += clips[index].row.unit_frames
        if held >= PIECE_FRAMES or seen >= most:
            yield frames(waiting, column, device)
            waiting, held = [], 0
        if seen >= most:
            return
    if waiting:
        yield frames(waiting, column, device)


def _counted(pieces: Iterator[Tensor], advance: Callable[[float], None]) -> Iterator[Tensor]:
    """The pieces; `advance` is called with the length of each once it was used."""
    for piece in pieces:
        yield piece
        advance(len(piece))
