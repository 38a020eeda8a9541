"""Which clips to encode together."""

from __future__ import annotations

from collections.abc import Sequence


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Clips grouped by length, so that little of a batch is padding.

    Args:
        lengths: samples in each clip.
        budget: the most samples in a batch once padded, clips x longest. A clip longer than that is alone.

    Returns:
        Indices into `lengths`, each once, longest clips first, so that the first batch needs the most memory.
    """
    plan: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        # A batch is as long as its first clip, since none after it is longer.
        if plan and (len(plan[-1]) + 1) * lengths[plan[-1][0]] <= budget:
            plan[-1].append(index)
        else:
            plan.append([index])
    return plan
