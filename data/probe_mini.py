"""Probes of an encoder's features: phones of unseen singers, the singer, and the same words in other voices.

    python -m svc.data.probe_mini --encoder mini [--same FOLDER...]

Probes are linear and frame by frame, layer by layer, beside MFCCs and a HuBERT of the same shape with random weights.
FOLDERs hold recordings of one sentence by several speakers: the nearest neighbour of each frame in another speaker's
recording is right within 100 ms of its place by time warping over MFCCs, which favours MFCCs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import HubertModel

from ..pipeline.encoder.content import ContentEncoder
from ..pipeline.encoder.hubert import Hubert
from ..pipeline.encoder.network import EncoderSettings
from ..pipeline.encoder.registry import load_encoder
from .singer_clips import FIRST_PROBE_SEED, Clip, mfcc, read, sing_clip
from .singers import NAMES

TAUGHT, ASKED = 60, 30  # singers that the probe is trained on, and others that it is tested on
PIECE = 25  # frames that a singer is predicted from, 0.5 s
TOLERANCE = 5  # frames, 100 ms

Frames = NDArray[np.float32]
Features = Callable[[Frames], dict[str, Frames]]


def features_of(content: ContentEncoder) -> Features:
    """A function from a 16 kHz waveform (T,) to every layer's hidden states (N, D), by the layer's name."""
    layers = list(range(content.layers + 1))

    def features(wav: Frames) -> dict[str, Frames]:
        return {
            f"layer {layer}": state.numpy() for layer, state in content.encode(torch.from_numpy(wav), layers).items()
        }

    return features


def linear(
    inputs: Frames, labels: NDArray[np.int64], classes: int, seed: int = 0
) -> Callable[[Frames], NDArray[np.int64]]:
    """A softmax regression on standardised inputs (N, D); returns a function that predicts the classes of others."""
    torch.manual_seed(seed)
    mean, scale = inputs.mean(0), inputs.std(0) + 1e-5
    x, y = torch.from_numpy((inputs - mean) / scale), torch.from_numpy(labels)
    layer = torch.nn.Linear(x.shape[1], classes)
    optimizer = torch.optim.AdamW(layer.parameters(), 1e-2, weight_decay=1e-2)
    for _ in range(600):
        chosen = torch.randint(len(x), (2048,))
        loss = torch.nn.functional.cross_entropy(layer(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def tell(others: Frames) -> NDArray[np.int64]:
        with torch.inference_mode():
            return layer(torch.from_numpy((others - mean) / scale)).argmax(1).numpy()

    return tell


def phones(taught: Sequence[Frames], asked: Sequence[Frames], clips: Sequence[Clip]) -> float:
    """Share of the test singers' frames, silence aside, whose phone a linear probe predicts.

    Args:
        taught: features (N, D) of the clips that the probe is trained on.
        asked: those of the clips that it is tested on.
        clips: the clips of both, in that order, with their labels.
    """

    def both(states: Sequence[Frames], own: Sequence[Clip]) -> tuple[Frames, NDArray[np.int64]]:
        pairs = [(s[: len(c.labels)], c.labels[: len(s)]) for s, c in zip(states, own, strict=True)]
        frames, labels = (np.concatenate(part) for part in zip(*pairs, strict=True))
        return frames[labels > 0], labels[labels > 0]

    inputs, labels = both(taught, clips[: len(taught)])
    others, truth = both(asked, clips[len(taught) :])
    return float(np.mean(linear(inputs, labels, len(NAMES))(others) == truth))


def singers(states: Sequence[Frames]) -> float:
    """Share of half-second means whose singer a linear probe predicts; it is trained on the beginnings of the clips.

    `states`: features (N, D) of one clip of each singer.
    """
    means, who, late = [], [], []
    for number, frames in enumerate(states):
        pieces = [frames[start : start + PIECE].mean(0) for start in range(0, len(frames) - PIECE, PIECE // 2)]
        means += pieces
        who += [number] * len(pieces)
        late += [place > 0.6 * len(pieces) for place in range(len(pieces))]
    inputs, labels, test = np.array(means, np.float32), np.array(who), np.array(late)
    return float(np.mean(linear(inputs[~test], labels[~test], len(states))(inputs[test]) == labels[test]))


def normed(frames: Frames) -> Frames:
    """Features (N, D) with zero mean and unit variance over the clip, then each of unit length: (N, D)."""
    frames = (frames - frames.mean(0)) / (frames.std(0) + 1e-5)
    return frames / np.linalg.norm(frames, axis=1, keepdims=True)


def aligned(a: Frames, b: Frames) -> NDArray[np.int64]:
    """For each frame of `a` its frame in `b` by dynamic time warping over normed features (Sakoe and Chiba, 1978)."""
    cost = 1 - a @ b.T
    total = np.full((len(a) + 1, len(b) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    at, (i, j) = np.zeros(len(a), np.int64), (len(a), len(b))
    while i > 0 and j > 0:
        at[i - 1] = j - 1
        i, j = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda place: total[place])
    return at


def retrieval(
    states: Sequence[Frames], truth: dict[tuple[int, int], NDArray[np.int64]], loud: Sequence[NDArray[np.bool_]]
) -> float:
    """Share of loud frames whose nearest neighbour in another's clip is, within 100 ms, where time warping places it.

    Args:
        states: features (N, D) of each clip.
        truth: by pair of clips, for each frame of the first its frame in the second (`aligned`), (N,).
        loud: for each clip which frames count, (N,).
    """
    right: list[NDArray[np.bool_]] = []
    for (a, b), at in truth.items():
        found = (normed(states[a]) @ normed(states[b]).T).argmax(1)
        right.append((np.abs(found - at) <= TOLERANCE)[loud[a]])
    return float(np.concatenate(right).mean())


def random_like(content: ContentEncoder) -> Hubert:
    """An encoder of the same architecture with random weights."""
    torch.manual_seed(0)
    assert isinstance(content, Hubert)
    return Hubert(HubertModel(content.model.config), content.normalize, EncoderSettings("random", "random"))


def rows(content: ContentEncoder, same: Sequence[Path]) -> Iterator[tuple[str, float, float, float]]:
    """Name, phones, singers and retrieval of MFCCs, of a random encoder's best layer, and of each layer."""
    clips = [sing_clip(FIRST_PROBE_SEED + number, 8.0) for number in range(TAUGHT + ASKED)]
    wavs = [clip.wav.astype(np.float32) / np.float32(32767) for clip in clips]
    spoken = [read(path) for path in same]
    cepstra = [mfcc(wav) for wav in spoken]
    loud = [frames[:, 0] > np.percentile(frames[:, 0], 30) for frames in cepstra]
    truth = {(a, b): aligned(normed(cepstra[a]), normed(cepstra[b])) for a, b in permutations(range(len(spoken)), 2)}
    systems: list[tuple[str, Features]] = [
        ("MFCC", lambda wav: {"": mfcc(wav)}),
        ("random", features_of(random_like(content))),
        (content.name, features_of(content)),
    ]
    for name, features in systems:
        sung, said = [features(wav) for wav in wavs], [features(wav) for wav in spoken]
        for layer in sung[0]:
            states = [each[layer] for each in sung]
            found = retrieval([each[layer] for each in said], truth, loud) if said else float("nan")
            yield f"{name} {layer}".strip(), phones(states[:TAUGHT], states[TAUGHT:], clips), singers(states), found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="mini")
    parser.add_argument("--same", type=Path, nargs="*", default=[], help="recordings of one sentence, a speaker each")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| features | phones of unseen singers | singer, of 90 | the same words in another real voice |\n"
        "|---|---|---|---|"
    )
    for name, phone, who, found in rows(load_encoder(asked.encoder), asked.same):
        print(f"| {name} | {phone:.3f} | {who:.3f} | {'' if np.isnan(found) else f'{found:.3f}'} |", flush=True)


if __name__ == "__main__":
    main()
