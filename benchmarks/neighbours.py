"""The layer in which the nearest frames of another voice have the same phone: on parallel singers, without a model.

    python benchmarks/neighbours.py demo/run

RUN is one that `svc demo` made, with its singers.json. Every frame of the source's songs is replaced by the mean of the
nearest frames of the target's corpus (cosine similarity): in each layer of the run's encoder, as it is and normalised
for each clip, in the run's soft units, and in the probabilities of its codes. The table has the phone accuracy of the
resulting mel, without a vocoder, by the classifier of `svc evaluate`; and the same where the target's own singing of
the songs is replaced, so that no voice changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from conversion import singers_beside
from numpy.typing import NDArray
from svc.pipeline import audio, frames
from svc.pipeline.encoder.content import ContentEncoder
from svc.pipeline.encoder.registry import load_encoder
from svc.pipeline.metrics.audio_features import AudioFeatures, Samples
from svc.pipeline.projection import SoftProjection
from svc.stages.evaluation.scores import ParallelSong, References
from svc.stages.rendering.retrieval import nearest
from svc.stages.run import Run
from torch import Tensor

Key = Callable[[dict[int, Tensor]], Tensor]  # all layers of a clip, (U, H) each -> search keys of its frames, (U, D)


def own_out(states: Tensor) -> Tensor:
    """Each column normalised by the clip's own mean and deviation."""
    return (states - states.mean(0)) / states.std(0).clamp(min=1e-3)


def keys(layers: int, unit_layer: int, projection: SoftProjection) -> dict[str, Key]:
    """The features in which neighbours are searched."""
    found: dict[str, Key] = {}
    for layer in range(layers + 1):
        found[f"layer {layer}"] = lambda states, layer=layer: states[layer]
        found[f"layer {layer}, own mean and deviation out"] = lambda states, layer=layer: own_out(states[layer])
    found["soft units"] = lambda states: projection(states[unit_layer])
    found["soft units, own mean and deviation out"] = lambda states: own_out(projection(states[unit_layer]))
    found["probabilities of the codes"] = lambda states: projection.logits(projection(states[unit_layer])).softmax(-1)
    return found


class Library:
    """The frames of the target's corpus."""

    def __init__(self, content: ContentEncoder, recordings: list[Samples]):
        self.states = [encoded(content, wav) for wav in recordings]
        mels = [AudioFeatures(wav).mel for wav in recordings]
        pairs = zip(self.states, mels, strict=True)
        self.mels = np.concatenate([mel[_mel_frames(len(states[0]), len(mel))] for states, mel in pairs])

    def answer(
        self, states_of: Sequence[dict[int, Tensor]], songs: Sequence[ParallelSong], key: Key, count: int
    ) -> list[Samples]:
        """The songs' mels (M, 128), each unit of the `count` frames of the corpus most similar to it."""
        own = F.normalize(torch.cat([key(each) for each in self.states]), dim=1)
        made = []
        for states, song in zip(states_of, songs, strict=True):
            weight, which = nearest(F.normalize(key(states), dim=1), own, count)
            units = (weight.numpy()[..., None] * self.mels[which.numpy()]).sum(1)
            made.append(np.asarray(units[frames.mel2ph(song.score.mel_frames, len(units)) - 1], np.float32))
        return made


def encoded(content: ContentEncoder, wav: Samples) -> dict[int, Tensor]:
    """All layers of a recording at 44.1 kHz."""
    resampled = audio.resample(wav, frames.MEL_RATE, frames.CONTENT_RATE)
    return content.encode(torch.from_numpy(resampled), list(range(content.layers + 1)))


def right(truth: References, songs: Sequence[ParallelSong], mels: Sequence[Samples]) -> float:
    """Share of the songs' phones that the phone classifier predicts from their mels."""
    shares = [truth.phones.accuracy(mel, song.score.mel_labels()) for mel, song in zip(mels, songs, strict=True)]
    return float(np.mean(shares))


def _mel_frames(units: int, count: int) -> NDArray[np.int64]:
    """The mel frame in which each unit's centre lies."""
    return np.minimum((frames.unit_centres(units) * frames.MEL_FRAME_RATE).astype(np.int64), count - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--neighbours", default="4", help="how many, such as 1,4,16")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    run = Run.open(asked.run)
    singers = singers_beside(asked.run, parser)
    _, projection = run.load_units()
    if not isinstance(projection, SoftProjection):
        parser.error(f"{asked.run} was trained on {run.config.settings.units} units; this wants a run of soft ones")
    truth = References(singers)
    songs = [truth.song(name) for name in singers.songs]
    content = load_encoder(run.config.encoder.origin, "cpu")
    library = Library(content, [wav for wav, _ in singers.corpus(truth.target)])
    states = [
        [encoded(content, song.source) for song in songs],
        [encoded(content, song.target) for song in songs],
    ]
    counts = [int(count) for count in asked.neighbours.split(",")]

    print(
        f"| compared by | {' | '.join(f'{n} nearest, source / target' for n in counts)} |\n|---{'|---' * len(counts)}|"
    )
    with torch.inference_mode():
        for name, key in keys(content.layers, run.config.unit_column.layer, projection).items():
            cells = [
                " / ".join(f"{right(truth, songs, library.answer(who, songs, key, count)):.3f}" for who in states)
                for count in counts
            ]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(f"| *source as recorded* | {right(truth, songs, [song.source_features.mel for song in songs]):.3f} |")
    print(f"| *target as recorded* | {right(truth, songs, [song.target_features.mel for song in songs]):.3f} |")


if __name__ == "__main__":
    main()
