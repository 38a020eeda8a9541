"""Make the listener of `pipeline/metrics/phone_agreement.py`, and say how well it hears.

    python -m svc.data.make_phone_classifier [--same RECORDING...]

It learns kinds of phones from drawn singers, in three languages, sung or as quick and flat as speech. The same
arguments on the same machine give the same bytes. RECORDINGs are of one sentence by several speakers: printed is how
often the same kind is heard in two of them, where time warping says that they are at the same sound.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..pipeline import audio
from ..pipeline.frames import MEL_RATE, resampled_length
from ..pipeline.metrics.audio_features import AudioFeatures
from ..pipeline.metrics.cepstra import loud
from ..pipeline.metrics.phone_agreement import (
    COEFFICIENTS,
    FILE,
    PhoneGroupClassifier,
    alike,
    by_chance,
    phone_groups,
    phone_groups_of,
)
from .make_mini import FIRST_PROBE_SEED, drawn
from .probe_mini import aligned, normed
from .singers import NAMES

FIRST_SEED = 700_000  # of the singers that teach: neither `mini`'s nor a demo's
ASKED = 30  # others that it is asked of
SECONDS = 4.0  # of each
BATCH = 512  # frames
RATE = 1e-3
EPOCHS = 8

Frames = NDArray[np.float32]
Labels = NDArray[np.int64]


def training_examples(first: int, count: int) -> Iterator[tuple[Frames, Labels]]:
    """Log mels (M, 128) of drawn singers and the kinds of their frames (M,)."""
    for seed in range(first, first + count):
        wav, score = drawn(seed, SECONDS)
        yield AudioFeatures(wav).mel, phone_groups_of(score.mel_labels(), NAMES)


def train(clips: Sequence[tuple[Frames, Labels]], seed: int) -> PhoneGroupClassifier:
    torch.manual_seed(seed)
    listener = PhoneGroupClassifier()
    heard = torch.from_numpy(np.concatenate([phone_groups(mel) for mel, _ in clips]))
    kinds = torch.from_numpy(np.concatenate([labels for _, labels in clips]))
    optimizer = torch.optim.AdamW(listener.parameters(), RATE, weight_decay=0.0)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(heard)).split(BATCH):
            loss = F.cross_entropy(listener(heard[chosen]), kinds[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return listener.eval()


def right(listener: PhoneGroupClassifier, clips: Sequence[tuple[Frames, Labels]]) -> float:
    """Share of the frames, silence aside, whose kind is told."""
    told, truth = (
        np.concatenate(each) for each in zip(*((listener.tell(m), labels) for m, labels in clips), strict=True)
    )
    return float(np.mean(told[truth > 0] == truth[truth > 0]))


def same_words(listener: PhoneGroupClassifier, mels: Sequence[Frames]) -> tuple[float, float]:
    """What is heard alike in recordings of one sentence by several speakers, and what would be by chance: means."""
    told = [listener.tell(mel) for mel in mels]
    sounds = [normed(phone_groups(mel).reshape(len(mel), -1, COEFFICIENTS)[:, 4, 1:]) for mel in mels]
    found = []
    for a, b in combinations(range(len(mels)), 2):
        at = aligned(sounds[a], sounds[b])
        judged = loud(mels[a]) & loud(mels[b])[at]
        found.append((alike(told[a], told[b][at], judged), by_chance(told[a], told[b][at], judged)))
    same, chance = np.mean(found, axis=0)
    return float(same), float(chance)


def read(path: Path) -> Frames:
    """The log mel of a recording."""
    found = audio.scan(path)
    length = resampled_length(found.samples, found.sample_rate, MEL_RATE)
    return AudioFeatures(audio.resample(audio.read(found, 0, found.frames), found.sample_rate, MEL_RATE, length)).mel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / FILE)
    parser.add_argument("--singers", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--same", type=Path, nargs="*", default=[], help="recordings of one sentence, a speaker each")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # another number sums in another order
    begun = time.process_time()
    listener = train(list(training_examples(FIRST_SEED, asked.singers)), asked.seed)
    asked.out.write_bytes(safetensors.torch.save(listener.state_dict()))
    print(f"{asked.singers} singers, {time.process_time() - begun:.0f} CPU-s, {asked.out.stat().st_size} bytes")
    print(f"kinds of unseen singers told: {right(listener, list(training_examples(FIRST_PROBE_SEED, ASKED))):.3f}")
    if asked.same:
        same, chance = same_words(listener, [read(path) for path in asked.same])
        print(f"one sentence by {len(asked.same)} speakers, heard alike: {same:.3f}, by chance {chance:.3f}")


if __name__ == "__main__":
    main()
