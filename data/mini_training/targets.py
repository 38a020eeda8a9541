"""The student's targets: the teacher's states without position and without the speaker's own mean, as int8.

    python -m svc.data.mini_training.targets --data DATA --names kerstin nathalie --layers 2 4 --clusters 4

`NAME.targetK.i8` holds int8 (frames, width) in units of 1 / 24 of a deviation. The mean and the deviation are those of
the speaker, who is one in a corpus: of all its frames. `clusters.npz` holds the centres of `--count` clusters of one
layer.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from sklearn.cluster import MiniBatchKMeans

from .corpus import Corpus
from .teacher import frame_file, packed

SCALE = 24.0
WIDTH = 512

Frames = NDArray[np.float32]


def places(corpus: Corpus) -> NDArray[np.int64]:
    """Each frame's position in the 30 s window that the teacher was given: (frames,), 0 to 1499."""
    path = corpus.file("place.u16")
    if path.exists():
        return np.fromfile(path, np.uint16).astype(np.int64)
    found = np.zeros(corpus.frames, np.int64)
    for window in packed(corpus.clips):
        for clip, start in window:
            count = clip.samples // 320
            found[clip.frames] = start // 320 + np.arange(count)
    return found


def position_mean(corpora: list[Corpus], layer: int) -> Frames:
    """The mean state at each position of a window, float32 (1500, width), smoothed over half a second."""
    total, count = np.zeros((1500, WIDTH)), np.zeros((1500, 1))
    for corpus in corpora:
        with np.load(corpus.file(f"layer{layer}.position.npz")) as kept:
            total, count = total + kept["total"], count + kept["count"]
    return np.asarray(uniform_filter1d(total, 25, 0) / np.maximum(uniform_filter1d(count, 25, 0), 1), np.float32)


def write(corpus: Corpus, layer: int, position: Frames, done: int) -> Frames:
    """Write the targets of the first `done` clips of a corpus, given the mean state of each position, (1500, width).

    Returns the standard deviations that are their units: float32 (width,).
    """
    states: Any = np.memmap(corpus.file(f"layer{layer}.f16"), np.float16, "r").reshape(-1, WIDTH)
    place, frames = places(corpus), corpus.clips[done - 1].frames.stop
    out = frame_file(corpus.file(f"target{layer}.i8"), np.int8, (frames, WIDTH))
    sample = np.sort(np.random.default_rng(0).choice(frames, min(frames, 60_000), replace=False))
    known = states[sample].astype(np.float32) - position[place[sample]]
    mean, deviation = known.mean(0), known.std(0) + 1e-3
    for clip in corpus.clips[:done]:
        part = states[clip.frames].astype(np.float32) - position[place[clip.frames]]
        out[clip.frames] = np.clip(np.round((part - mean) / deviation * SCALE), -127, 127)
    out.flush()
    print(f"{corpus.name}, layer {layer}: {frames / 180000:.2f} hours", flush=True)
    return np.asarray(deviation, np.float32)


def main() -> None:
    """The command line: targets and their scale for each layer, and the clusters if there are none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--names", nargs="+", required=True)
    parser.add_argument("--layers", type=int, nargs="+", required=True)
    parser.add_argument("--clusters", type=int, help="the layer to cluster; clusters that exist stay")
    parser.add_argument("--count", type=int, default=300)
    options = parser.parse_args()
    corpora = [Corpus(options.data, name) for name in options.names]
    for layer in options.layers:
        position = position_mean(corpora, layer)
        done = [int(corpus.file("targets.txt").read_text()) for corpus in corpora]
        units = [write(corpus, layer, position, count) for corpus, count in zip(corpora, done, strict=True)]
        # In Whisper's own numbers a target is mean + deviation * target, for every speaker.
        scale = options.data / f"scale{layer}.npz"
        np.savez(scale, mean=position.mean(0), deviation=np.mean(units, 0))
    path = options.data / "clusters.npz"
    if options.clusters is not None and not path.exists():
        generator, samples = np.random.default_rng(1), []
        for corpus in corpora:
            known = np.memmap(corpus.file(f"target{options.clusters}.i8"), np.int8, "r").reshape(-1, WIDTH)
            samples.append(
                known[np.sort(generator.choice(len(known), 25_000, replace=False))].astype(np.float32) / SCALE
            )
        means = MiniBatchKMeans(options.count, random_state=0, n_init=2, batch_size=4096, max_iter=30)
        means.fit(np.concatenate(samples))
        np.savez(path, centres=means.cluster_centers_.astype(np.float32), layer=options.clusters)


if __name__ == "__main__":
    main()
