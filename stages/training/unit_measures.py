"""Measurements of a run's units, for `svc train --compare`.

The model's reconstruction error does not show which units are better: units that keep everything, including the
source's voice, reconstruct best and convert worst.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...common.errors import UserError
from ...common.progress import Progress
from ...common.random import NoiseStream, fork_generator
from ...pipeline.diffusion.diffusion import Diffusion
from ...pipeline.diffusion.sampling import sample
from ...pipeline.metrics.cepstra import distance_db
from ...pipeline.metrics.probes import probe_accuracy, purity
from ...pipeline.projection import SoftProjection
from ...store import Clip, open_store
from .. import checkpoint
from ..checkpoint_records import UnitsRecord
from ..run import Run
from .columns import frames
from .conversion_probe import LOUD_DB
from .corpus import Corpus
from .crops import Crops, to_batch
from .labels import labels_of
from .unit_kinds import name_of
from .unit_table import Line

PROBE_CLIPS = 400  # that the linear classifiers are trained on, at most
SAMPLE_STEPS = 20  # the same for all kinds that are compared


def measure(run: Run, corpus: Corpus, device: str) -> Line:
    """Measure how much of codes, phones and speakers a run's units hold."""
    _, projection = run.load_units()
    _, record = checkpoint.load_record(run.units, UnitsRecord)
    settings = run.config.settings
    column = run.config.unit_column.name
    train, held_out = corpus.train[:: max(1, len(corpus.train) // PROBE_CLIPS)], corpus.held_out
    line = Line(name_of(settings), record.accuracy, record.loss)
    if len(corpus.speakers) > 1:
        voices = {name: number for number, name in enumerate(corpus.speakers)}
        parts = [
            _labelled(clips, column, projection, _voice_labels(clips, voices), device) for clips in (train, held_out)
        ]
        line = dataclasses.replace(line, speakers=probe_accuracy(parts[0], parts[1], len(voices)))
    known = [[clip for clip in clips if labels_of(clip) is not None] for clips in (train, held_out)]
    if all(known):
        names = sorted({phone for clips in known for clip in clips for phone in labels_of(clip) or []})
        numbers = {name: number for number, name in enumerate(names)}
        parts = [_labelled(c, column, projection, _phone_labels(c, numbers), device) for c in known]
        line = dataclasses.replace(line, phones=probe_accuracy(parts[0], parts[1], len(names)))
        if isinstance(projection, SoftProjection):
            codes = projection.to(device).logits(parts[1][0]).argmax(-1)
            line = dataclasses.replace(line, purity=purity(codes, parts[1][1]))
    return line


def convert(
    model: Diffusion, run: Run, corpus: Corpus, pairs: list[tuple[Clip, Clip]], device: str, progress: Progress
) -> tuple[float, float]:
    """Convert the first clip of each pair to the speaker of the second.

    Returns the mean distance from the second clip in dB, and 1 - that distance over the distance of the two clips.
    """
    projection = run.load_units()[1].to(device)
    off: list[float] = []
    before: list[float] = []
    with progress.bar("converting", len(pairs), "song") as bar:
        for number, (source, reference) in enumerate(pairs):
            crops = Crops([source], corpus.speakers, run.config.unit_column.name, source.row.mel_frames, 1, 0)
            batch = to_batch(crops.whole(source, source.row.mel_frames), projection, device)
            batch.speaker = torch.tensor([corpus.speakers.index(reference.speaker)], device=device)
            drawn = (
                sample(model, batch, fork_generator(0, NoiseStream.COMPARISON, number), SAMPLE_STEPS)[0].cpu().numpy()
            )
            loud = reference.loudness > reference.loudness.max() - LOUD_DB
            off.append(distance_db(drawn, reference.mel, loud))
            before.append(distance_db(source.mel, reference.mel, loud))
            bar.advance()
    return float(np.mean(off)), 1 - float(np.mean(off) / np.mean(before))


def parallel_songs(truth: str, corpus: Corpus) -> list[tuple[Clip, Clip]]:
    """Pairs of clips of one song by two voices that the corpus has: recordings of one name, cut alike.

    Raises UserError when there are none.
    """
    by_song: dict[tuple[str, int, int], list[Clip]] = {}
    for clip in open_store(truth):
        if clip.speaker in corpus.speakers:
            key = (Path(clip.utterance.source).stem, clip.row.start, clip.row.mel_frames)
            by_song.setdefault(key, []).append(clip)
    pairs = [(a, b) for clips in by_song.values() for a in clips for b in clips if a.speaker != b.speaker]
    if not pairs:
        raise UserError(
            f"{truth} holds no song that two voices of {', '.join(corpus.speakers)} sing: expected recordings of the "
            f"same name and length, in a folder for each voice"
        )
    return pairs


def _labelled(
    clips: list[Clip], column: str, projection: nn.Module, labels: Tensor, device: str
) -> tuple[Tensor, Tensor]:
    """Units (frames, unit_dim) and their labels (frames,)."""
    with torch.no_grad():
        return projection.to(device)(frames(clips, column, device)), labels.to(device)


def _voice_labels(clips: list[Clip], numbers: dict[str, int]) -> Tensor:
    return torch.cat([torch.full((clip.row.unit_frames,), numbers[clip.speaker]) for clip in clips])


def _phone_labels(clips: list[Clip], numbers: dict[str, int]) -> Tensor:
    return torch.tensor([numbers[phone] for clip in clips for phone in labels_of(clip) or []])
