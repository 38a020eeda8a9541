"""Whether more training would help, and which checkpoint is the best, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

WORTH = 0.01  # relative: smaller differences count as none
ENOUGH = 6  # validations; with fewer nothing can be said
SMOOTHED = 3  # validations that are averaged, because scores vary from one to the next


def verdict(lines: Sequence[Mapping[str, float]], best_step: int) -> str:
    """Whether the last third of a training made conversion better, in a sentence.

    More training is recommended only where the score rose, the content that is kept did not fall, and the held-out loss
    did not rise.

    Args:
        lines: of the training's log, in order.
        best_step: the step of the checkpoint that rendering uses.
    """
    best = f"the best checkpoint is of step {best_step}"
    lines = [line for line in lines if "score" in line]
    if len(lines) < ENOUGH:
        return f"too few validations ({len(lines)}) to say whether more training would help; {best}"
    steps = np.array([line["step"] for line in lines])[SMOOTHED - 1 :]
    late = steps > steps[-1] * 2 / 3
    score = _smoothed(lines, "score")
    before, after = score[~late].max(initial=0.0), score[late].max()
    worse = _worse(lines, late)
    if after > before * (1 + WORTH):
        rose = f"conversion rose from {before:.3f} to {after:.3f} in the last third"
        if worse:
            return f"{rose}, but {' and '.join(worse)}: more training would overfit; {best}"
        return f"still getting better: {rose}; more training would help (--steps {2 * int(steps[-1])}); {best}"
    stopped = int(steps[np.flatnonzero(score >= max(before, after) / (1 + WORTH))[0]])
    since = f" ({', '.join(worse)})" if worse else ""
    return (
        f"more training stopped helping at step {stopped}: conversion has stayed within {WORTH:.0%} of "
        f"{score.max():.3f} since{since}; {best}"
    )


def _smoothed(lines: Sequence[Mapping[str, float]], name: str) -> NDArray[np.float64]:
    """Means of SMOOTHED validations each; entry i ends at validation i + SMOOTHED - 1."""
    values = [line.get(name, np.nan) for line in lines]
    return np.convolve(values, np.ones(SMOOTHED) / SMOOTHED, "valid")


def _worse(lines: Sequence[Mapping[str, float]], late: NDArray[np.bool_]) -> list[str]:
    """What has got worse from its best before the last third to the end, in words."""
    found = []
    content, loss = _smoothed(lines, "content"), _smoothed(lines, "held_out")
    if content[-1] < content[~late].max(initial=0.0) * (1 - WORTH):
        found.append(f"content fell from {content[~late].max():.3f} to {content[-1]:.3f}")
    if loss[-1] > loss[~late].min(initial=np.inf) * (1 + WORTH):
        found.append(f"the held-out loss rose from {loss[~late].min():.3f} to {loss[-1]:.3f}")
    return found
