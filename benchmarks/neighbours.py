"""In which layer does a sound find its like in another voice? Without any model, on parallel singers.

    python benchmarks/neighbours.py demo/run

RUN is one that `svc demo` left, with its singers.json. Every frame of the source's songs is replaced by those of the
target's corpus that are most alike by cosine, in each layer of the run's encoder, as it is and with each clip's own
mean and deviation taken out, in the run's soft units and in the probabilities of its codes. The judge of `svc evaluate`
says how many phones are right then, in the mel, without a vocoder; and how many where the target's own singing of the
songs is replaced so, and no voice changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from svc.pipeline import frames
from svc.pipeline.encoder.content import Content
from svc.pipeline.judging.sound import Samples, Sound
from svc.pipeline.projection import SoftProjection
from svc.stages.evaluation.quality import Truth
from svc.stages.parallel import Singers, singers_of
from svc.stages.run import Run
from torch import Tensor

Key = Callable[[dict[int, Tensor]], Tensor]  # all layers of a clip, (U, H) each -> by what its frames are found, (U, D)


def own_scale(states: Tensor) -> Tensor:
    """Each column with the clip's own mean and deviation taken out."""
    return (states - states.mean(0)) / states.std(0).clamp(min=1e-3)


def keys(layers: int, unit_layer: int, projection: SoftProjection) -> dict[str, Key]:
    """What neighbours may be looked for in."""
    found: dict[str, Key] = {}
    for layer in range(layers + 1):
        found[f"layer {layer}"] = lambda states, layer=layer: states[layer]
        found[f"layer {layer}, own mean and deviation out"] = lambda states, layer=layer: own_scale(states[layer])
    found["soft units"] = lambda states: projection(states[unit_layer])
    found["soft units, own mean and deviation out"] = lambda states: own_scale(projection(states[unit_layer]))
    found["probabilities of the codes"] = lambda states: projection.logits(projection(states[unit_layer])).softmax(-1)
    return found


class Library:
    """What the target's corpus holds, to make songs of."""

    def __init__(self, content: Content, recordings: list[Samples]):
        self.content = content
        self.states = [self.listen(wav) for wav in recordings]
        mels = [Sound(wav).mel for wav in recordings]
        pairs = zip(self.states, mels, strict=True)
        self.mels = np.concatenate([mel[_mel_frames(len(states[0]), len(mel))] for states, mel in pairs])

    def listen(self, wav: Samples) -> dict[int, Tensor]:
        """All layers of a recording at 44.1 kHz."""
        heard = soxr.resample(wav, frames.MEL_RATE, frames.CONTENT_RATE).astype(np.float32)
        return self.content.encode(torch.from_numpy(heard), list(range(self.content.layers + 1)))

    def answer(self, song: dict[int, Tensor], count: int, key: Key, neighbours: int) -> Samples:
        """The song's mel (count, 128), made of the corpus's."""
        own = F.normalize(torch.cat([key(each) for each in self.states]), dim=1)
        likeness, which = (F.normalize(key(song), dim=1) @ own.T).topk(neighbours)
        weight = 1 / (1 - likeness).clamp(min=1e-6)
        weight = (weight / weight.sum(1, keepdim=True)).numpy()
        made = (weight[..., None] * self.mels[which.numpy()]).sum(1)
        return np.asarray(made[frames.mel2ph(count, len(made)) - 1], np.float32)


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
    described = singers_of(asked.run)
    if described is None:
        parser.error(f"{asked.run} has no singers.json beside it; svc demo makes one")
    _, projection = run.load_units()
    if not isinstance(projection, SoftProjection):
        parser.error(
            f"{asked.run} was trained on {run.facts['settings']['units']} units; this wants a run of soft ones"
        )
    truth = Truth(Singers.open(described))
    songs = [truth.song(name) for name in truth.singers.songs]
    content = Content.load(run.facts["encoder_origin"], "cpu")
    library = Library(content, [wav for wav, _ in truth.singers.corpus(truth.target)])
    heard = {who: [library.listen(getattr(song, who)) for song in songs] for who in ("source", "target")}
    counts = [int(count) for count in asked.neighbours.split(",")]

    print(f"| alike in | {' | '.join(f'{n} nearest, source / target' for n in counts)} |\n|---{'|---' * len(counts)}|")
    with torch.inference_mode():
        for name, key in keys(content.layers, run.facts["unit_layer"], projection).items():
            cells = []
            for neighbours in counts:
                told = {
                    who: np.mean(
                        [
                            truth.phones.accuracy(
                                library.answer(states, song.score.mel_frames, key, neighbours), song.score.mel_labels()
                            )
                            for states, song in zip(heard[who], songs, strict=True)
                        ]
                    )
                    for who in heard
                }
                cells.append(" / ".join(f"{share:.3f}" for share in told.values()))
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    rows = {who: [(Sound(getattr(song, who)).mel, song) for song in songs] for who in heard}
    for who, pairs in rows.items():
        share = np.mean([truth.phones.accuracy(mel, song.score.mel_labels()) for mel, song in pairs])
        print(f"| *{who} as recorded* | {share:.3f} |")


if __name__ == "__main__":
    main()
