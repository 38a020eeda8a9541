"""Synthetic singers, whose phones are known: clips of drawn voices, with a phone for every frame.

    python -m svc.data.mini_training.singers --out DATA --name singers --count 1500

`NAME.phones.u8` holds the phone of each frame, as `svc.data.singers.NAMES` numbers them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ...pipeline.frames import MEL_RATE
from ..singer_clips import at_16k, drawn
from .corpus import HOP, RATE, CorpusWriter


def main() -> None:
    """The command line: appends clips up to `--count`, and their phones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="singers")
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    writer = CorpusWriter(options.out, options.name)
    path = options.out / f"{options.name}.phones.u8"
    path.touch()
    with path.open("r+b") as file:
        file.truncate(writer.end // HOP)
    for seed in range(options.count):
        if str(seed) in writer.done:
            continue
        wav, score = drawn(seed, options.seconds)
        resampled = at_16k(wav, MEL_RATE)
        frames = len(resampled) // HOP
        labels = np.zeros(frames, np.uint8)
        known = score.unit_labels(frames)
        labels[: len(known)] = known[:frames]
        with path.open("ab") as file:
            file.write(labels.tobytes())
        writer.add(str(seed), resampled[: frames * HOP])
    print(f"{len(writer.done)} clips, {writer.end / RATE / 3600:.2f} hours")


if __name__ == "__main__":
    main()
