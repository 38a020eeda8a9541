"""`svc train --compare`: which units are better, by numbers.

A model's own reconstruction error does not tell: units that keep everything, the source's voice included, reconstruct
best and convert worst. So this asks what of the codes, the words and the voice is in the units, and, where the same
songs sung by two voices are at hand, how near a conversion comes to the truth.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...common.errors import UserError
from ...common.files import write_whole
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
from ..settings import TrainSettings
from ..settings.train import UNITS
from .columns import frames
from .conversion_probe import LOUD_DB
from .corpus import Corpus, gather_corpus
from .crops import Crops, to_batch
from .distributed import DistributedContext
from .labels import labels_of
from .train import train

TAUGHT_CLIPS = 400  # that the small classifiers learn from, at most
SAMPLE_STEPS = 20  # the same for all that is compared, whatever a render would take


@dataclass(frozen=True)
class Line:
    """What one kind and width of units came to; None is what could not be asked.

    Attributes:
        units: such as `soft 256`.
        accuracy, loss: of the codes of held-out utterances.
        purity: share of held-out frames with the commonest phone of the code that the units tell.
        phones: share of held-out frames whose phone a small classifier tells from the units.
        speakers: the same of the voice: what leaks. Lower is better.
        mel_error: of a held-out utterance, sampled, in ln mel. It does not tell which is better.
        distance_db, way: how far conversions are from the truth, and which share of the way to it they went.
    """

    units: str
    accuracy: float | None = None
    loss: float | None = None
    purity: float | None = None
    phones: float | None = None
    speakers: float | None = None
    mel_error: float | None = None
    distance_db: float | None = None
    way: float | None = None


HEADS = {
    "units": "units",
    "accuracy": "codes right",
    "loss": "loss",
    "purity": "phone purity",
    "phones": "phones told",
    "speakers": "voices told (lower is better)",
    "mel_error": "own mel error",
    "distance_db": "A to B, dB off",
    "way": "of the way to B",
}


def compare(
    stores: Sequence[str | Path],
    out: Path,
    settings: TrainSettings,
    kinds: Sequence[str],
    truth: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> list[Line]:
    """Train units of each kind and measure them. Interrupted, the same call goes on.

    Args:
        stores, settings, device, progress: as for `train`.
        out: a folder; each kind gets a run in it, and `compare.md` and `compare.json` the table.
        kinds: widths of soft units, such as "512", or another kind: "hidden", "linear", "hubert-soft".
        truth: a store in which the voices sing the same songs, in recordings of the same name and length. With it an
            acoustic model is trained for each kind, and converts them.

    Raises:
        UserError: as `train`; or the truth has no such songs.
    """
    progress = progress or Progress()
    asked = [of_kind(settings, kind) for kind in kinds]
    if twice := [kind for kind in kinds if kinds.count(kind) > 1]:
        raise UserError(f"units {twice[0]} are asked for twice")
    corpus = gather_corpus([open_store(path) for path in stores], progress)
    pairs = [] if truth is None else parallel_songs(truth, corpus)
    lines = []
    for kind, changed in zip(kinds, asked, strict=True):
        progress.say(f"\nunits: {name_of(changed)}")
        report = train(stores, out / kind, changed, device, None if pairs else "units", progress)
        run = Run.open(out / kind)
        line = measure(run, corpus, DistributedContext(device).device)
        if pairs:
            model, _ = run.load_best(DistributedContext(device).device)
            off, way = convert(model, run, corpus, pairs, DistributedContext(device).device, progress)
            line = dataclasses.replace(line, mel_error=report.mel_error, distance_db=off, way=way)
        lines.append(line)
        write_whole(out / "compare.json", json.dumps([asdict(line) for line in lines], indent=1).encode())
        write_whole(out / "compare.md", "\n".join([*table(lines), ""]).encode())
    return lines


def measure(run: Run, corpus: Corpus, device: str) -> Line:
    """What is in a run's units."""
    _, projection = run.load_units()
    _, record = checkpoint.load_record(run.units, UnitsRecord)
    settings = run.config.settings
    column = run.config.unit_column.name
    taught, asked = corpus.train[:: max(1, len(corpus.train) // TAUGHT_CLIPS)], corpus.held_out
    line = Line(name_of(settings), record.accuracy, record.loss)
    if len(corpus.speakers) > 1:
        voices = {name: number for number, name in enumerate(corpus.speakers)}
        parts = [
            _labelled(clips, column, projection, _voice_labels(clips, voices), device) for clips in (taught, asked)
        ]
        line = dataclasses.replace(line, speakers=probe_accuracy(parts[0], parts[1], len(voices)))
    known = [[clip for clip in clips if labels_of(clip) is not None] for clips in (taught, asked)]
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
    """Sing A's songs as B with a run's model: how far from B's own in dB, and which share of the way was gone."""
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


def table(lines: Sequence[Line]) -> list[str]:
    """As Markdown, without the columns that nothing is known of."""
    rows = [asdict(line) for line in lines]
    names = [name for name in HEADS if any(row[name] is not None for row in rows)]
    out = ["| " + " | ".join(HEADS[name] for name in names) + " |", "|---" * len(names) + "|"]
    return out + ["| " + " | ".join(_shown(name, row[name]) for name in names) + " |" for row in rows]


@dataclass(frozen=True)
class Comparison:
    """What each kind of units came to."""

    rows: list[Line]

    def lines(self) -> list[str]:
        """The table, as Markdown."""
        return table(self.rows)


def name_of(settings: TrainSettings) -> str:
    """Such as `soft 256`."""
    return f"{settings.units} {settings.unit_dim}" if settings.units in ("soft", "linear") else settings.units


def _shown(name: str, value: str | float | None) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:.2f}" if name in ("loss", "mel_error", "distance_db") else f"{value:.1%}"


def of_kind(settings: TrainSettings, kind: str) -> TrainSettings:
    """The settings with soft units of a width ("512"), or units of another kind ("hidden", "linear", "linear-512").

    Raises ValueError for what is neither.
    """
    if kind.isdigit():
        return dataclasses.replace(settings, units="soft", unit_dim=int(kind))
    if (width := kind.removeprefix("linear-")).isdigit():
        return dataclasses.replace(settings, units="linear", unit_dim=int(width))
    if kind in UNITS:
        return dataclasses.replace(settings, units=kind)
    raise ValueError(f"{kind!r} is no width and no kind of units; give such as 256, or {', '.join(UNITS)}, linear-512")


def _labelled(
    clips: list[Clip], column: str, projection: nn.Module, labels: Tensor, device: str
) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return projection.to(device)(frames(clips, column, device)), labels.to(device)


def _voice_labels(clips: list[Clip], numbers: dict[str, int]) -> Tensor:
    return torch.cat([torch.full((clip.row.unit_frames,), numbers[clip.speaker]) for clip in clips])


def _phone_labels(clips: list[Clip], numbers: dict[str, int]) -> Tensor:
    return torch.tensor([numbers[phone] for clip in clips for phone in labels_of(clip) or []])
