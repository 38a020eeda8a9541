"""What users ask most: is it done, and which checkpoint is the best?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WORTH = 0.01  # of the score: what is less than this better is not worth training for
ENOUGH = 6  # validations without which nothing can be said


def verdict(scores: Sequence[tuple[int, float]], best_step: int) -> str:
    """Whether the last third of a training made conversion better, in a sentence.

    Args:
        scores: (step, score) of the validations, in order. The score wavers, so runs of three are averaged.
        best_step: the step of the checkpoint that sings.
    """
    sings = f"the best checkpoint is of step {best_step}"
    if len(scores) < ENOUGH:
        return f"too few validations ({len(scores)}) to say whether more training would help; {sings}"
    steps = np.array([step for step, _ in scores])
    smooth = np.convolve([score for _, score in scores], np.ones(3) / 3, "valid")  # smooth[i] ends at validation i + 2
    ends = steps[2:]
    late = ends > steps[-1] * 2 / 3
    before, after = smooth[~late].max(initial=0.0), smooth[late].max()
    if after > before * (1 + WORTH):
        return (
            f"still getting better: conversion rose from {before:.3f} to {after:.3f} in the last third; "
            f"more training would help (--steps {2 * int(steps[-1])}); {sings}"
        )
    stopped = int(ends[np.flatnonzero(smooth >= max(before, after) / (1 + WORTH))[0]])
    return (
        f"more training stopped helping at step {stopped}: conversion has stayed within {WORTH:.0%} of "
        f"{smooth.max():.3f} since; {sings}"
    )
