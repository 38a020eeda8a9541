"""The number that everything random follows from."""

from __future__ import annotations

HIGHEST = 2**63 - 1  # what numpy and torch both take


def check_seed(seed: int) -> None:
    """Raises ValueError for a seed that cannot be."""
    if not 0 <= seed <= HIGHEST:
        raise ValueError(f"a seed is a whole number from 0 to {HIGHEST}, not {seed}")
