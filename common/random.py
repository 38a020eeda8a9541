"""Random generators that follow from a seed and a few numbers."""

from __future__ import annotations

import torch


def fork_generator(seed: int, *keys: int) -> torch.Generator:
    """A torch generator of its own for every (seed, keys), on the CPU."""
    generator = torch.Generator()
    mixed = seed
    for key in keys:
        mixed = (mixed * 1_000_003 + key + 1) % 2**63
    generator.manual_seed(mixed)
    return generator
