"""Random generators that follow from a seed, the stream that they belong to, and a few numbers.

Every use has a stream of its own, so that two uses of one seed are independent. The streams' numbers are part of the
result of a seed: another number gives other results.
"""

from __future__ import annotations

from enum import IntEnum, unique

import numpy as np
import torch


@unique
class NoiseStream(IntEnum):
    """Uses of torch's generators."""

    FRAME_NOISE = 0  # rendering: what sampling starts from; key: block of frames
    SOLVER = 1  # rendering: what stochastic solvers add; key: first frame
    TRAINING = 3  # training: noise and noise steps; keys: step, row of the batch
    VALIDATION = 4  # training: the same of held-out crops; key: batch
    PROBE = 5  # sampling of the conversions that are scored
    FORMANT_PROBE = 6  # sampling of the formant-shift inversion
    REPORT = 8  # sampling for the report; keys: utterance, speaker
    RECONSTRUCTION = 9  # sampling of a held-out utterance after training
    COMPARISON = 11  # sampling in a comparison of units; key: song


@unique
class ChoiceStream(IntEnum):
    """Uses of numpy's generators."""

    CLUSTERING = 0  # order of clips in k-means; key: epoch
    AUGMENTATION = 1  # pitch shift and gain of crops; key: step
    PROJECTION = 2  # clips that the soft projection is trained on; key: step
    FORMANT_SHIFT = 3  # formant shift of crops; key: step
    VOCODER = 7  # crops of the vocoder's training; key: step


@unique
class CropStream(IntEnum):
    """Draws of crops (stages.training.crop_sampler)."""

    TRAINING = 0
    VALIDATION = 1
    PROBE = 2  # for training of the probe's classifiers


def fork_generator(seed: int, stream: NoiseStream, *keys: int) -> torch.Generator:
    """A torch generator of its own for every (seed, stream, keys), on the CPU."""
    generator = torch.Generator()
    mixed = seed
    for key in (stream, *keys):
        mixed = (mixed * 1_000_003 + key + 1) % 2**63
    generator.manual_seed(mixed)
    return generator


def numpy_generator(seed: int, stream: ChoiceStream, *keys: int) -> np.random.Generator:
    """A numpy generator of its own for every (seed, stream, keys)."""
    return np.random.default_rng([seed, int(stream), *keys])
