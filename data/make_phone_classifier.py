"""Train the phone group classifier of `pipeline/metrics/phone_agreement.py`, and print its accuracy.

    python -m svc.data.make_phone_classifier [--same RECORDING...]

It is trained on synthetic singers in three languages, sung, or as quick and flat as speech. The same arguments on the
same machine give the same bytes. RECORDINGs are of one sentence by several speakers: the program prints the share of
frames that have the same group in two of them, after alignment by time warping.
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
    agreement,
    chance_agreement,
    classifier_inputs,
    phone_groups_of,
)
from .probe_mini import aligned, normed
from .singer_clips import FIRST_PROBE_SEED, drawn
from .singers import NAMES

FIRST_SEED = 700_000  # of the training singers: neither `mini`'s nor a demo's
TESTED = 30  # other singers
SECONDS = 4.0  # of each
BATCH = 512  # frames
RATE = 1e-3
EPOCHS = 8

Frames = NDArray[np.float32]
Labels = NDArray[np.int64]


def training_examples(first: int, count: int) -> Iterator[tuple[Frames, Labels]]:
    """Log mels (M, 128) of synthetic singers, and the phone groups of their frames, int64 (M,)."""
    for seed in range(first, first + count):
        wav, score = drawn(seed, SECONDS)
        yield AudioFeatures(wav).mel, phone_groups_of(score.mel_labels(), NAMES)


def train(clips: Sequence[tuple[Frames, Labels]], seed: int) -> PhoneGroupClassifier:
    """A classifier trained on log mels (M, 128) and the groups of their frames (M,)."""
    torch.manual_seed(seed)
    classifier = PhoneGroupClassifier()
    inputs = torch.from_numpy(np.concatenate([classifier_inputs(mel) for mel, _ in clips]))
    groups = torch.from_numpy(np.concatenate([labels for _, labels in clips]))
    optimizer = torch.optim.AdamW(classifier.parameters(), RATE, weight_decay=0.0)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(inputs)).split(BATCH):
            loss = F.cross_entropy(classifier(inputs[chosen]), groups[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return classifier.eval()


def accuracy(classifier: PhoneGroupClassifier, clips: Sequence[tuple[Frames, Labels]]) -> float:
    """The share of frames, silence left out, whose group is predicted. Clips: log mels (M, 128) and labels (M,)."""
    predicted, truth = (
        np.concatenate(each) for each in zip(*((classifier.predict(m), labels) for m, labels in clips), strict=True)
    )
    return float(np.mean(predicted[truth > 0] == truth[truth > 0]))


def same_words(classifier: PhoneGroupClassifier, mels: Sequence[Frames]) -> tuple[float, float]:
    """The agreement, and that by chance, of log mels (M, 128) of one sentence by several speakers: means over pairs."""
    predicted = [classifier.predict(mel) for mel in mels]
    sounds = [normed(classifier_inputs(mel).reshape(len(mel), -1, COEFFICIENTS)[:, 4, 1:]) for mel in mels]
    found = []
    for a, b in combinations(range(len(mels)), 2):
        at = aligned(sounds[a], sounds[b])
        counted = loud(mels[a]) & loud(mels[b])[at]
        one, other = predicted[a], predicted[b][at]
        found.append((agreement(one, other, counted), chance_agreement(one, other, counted)))
    same, chance = np.mean(found, axis=0)
    return float(same), float(chance)


def read(path: Path) -> Frames:
    """The log mel of a recording, float32 (M, 128)."""
    found = audio.scan(path)
    length = resampled_length(found.samples, found.sample_rate, MEL_RATE)
    return AudioFeatures(audio.resample(audio.read(found, 0, found.frames), found.sample_rate, MEL_RATE, length)).mel


def main() -> None:
    """Parse the arguments, train, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / FILE)
    parser.add_argument("--singers", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--same", type=Path, nargs="*", default=[], help="recordings of one sentence, a speaker each")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # another number sums in another order
    begun = time.process_time()
    classifier = train(list(training_examples(FIRST_SEED, asked.singers)), asked.seed)
    asked.out.write_bytes(safetensors.torch.save(classifier.state_dict()))
    print(f"{asked.singers} singers, {time.process_time() - begun:.0f} CPU-s, {asked.out.stat().st_size} bytes")
    print(f"accuracy on unseen singers: {accuracy(classifier, list(training_examples(FIRST_PROBE_SEED, TESTED))):.3f}")
    if asked.same:
        same, chance = same_words(classifier, [read(path) for path in asked.same])
        print(f"one sentence by {len(asked.same)} speakers, same group: {same:.3f}, by chance {chance:.3f}")


if __name__ == "__main__":
    main()
