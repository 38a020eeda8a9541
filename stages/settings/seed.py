"""The seed, from which all random numbers follow."""

from __future__ import annotations

HIGHEST = 2**63 - 1  # accepted by numpy and torch


def check_seed(seed: int) -> None:
    """Raises ValueError for a seed out of range."""
    if not 0 <= seed <= HIGHEST:
        raise ValueError(f"a seed is a whole number from 0 to {HIGHEST}, not {seed}")
