"""Whether more training would help, and which checkpoint is the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

WORTH = 0.01  # relative: smaller differences count as none
ENOUGH = 6  # validations; fewer are not enough for a verdict
SMOOTHED = 3  # validations that are averaged, because scores vary from one to the next


class Trend(StrEnum):
    """The change of conversion in a training's last third."""

    too_few = "too_few"
    rising = "rising"
    overfitting = "overfitting"
    flat = "flat"


@dataclass(frozen=True)
class Verdict:
    """Whether more training would help; `str()` gives it as a sentence.

    Attributes:
        trend: the change in the last third.
        best_step: the step of the checkpoint that rendering uses.
        validations: how many there were.
        before, after: the highest score before the last third, and in it.
        last_step: of the last validation.
        since_step: the first step whose score was within WORTH of the highest.
        worse: the measures that got worse, in words.
    """

    trend: Trend
    best_step: int
    validations: int
    before: float = 0.0
    after: float = 0.0
    last_step: int = 0
    since_step: int = 0
    worse: tuple[str, ...] = ()

    @property
    def more_steps(self) -> int:
        """The recommended number of steps if more would help: twice as many."""
        return 2 * self.last_step

    def __str__(self) -> str:
        best = f"the best checkpoint is of step {self.best_step}"
        rose = f"conversion rose from {self.before:.3f} to {self.after:.3f} in the last third"
        match self.trend:
            case Trend.too_few:
                few = f"too few validations ({self.validations})"
                return f"{few} to say whether more training would help; {best}"
            case Trend.rising:
                return f"still getting better: {rose}; more training would help (--steps {self.more_steps}); {best}"
            case Trend.overfitting:
                return f"{rose}, but {' and '.join(self.worse)}: more training would overfit; {best}"
            case Trend.flat:
                since = f" ({', '.join(self.worse)})" if self.worse else ""
                return (
                    f"more training stopped helping at step {self.since_step}: conversion has stayed within "
                    f"{WORTH:.0%} of {max(self.before, self.after):.3f} since{since}; {best}"
                )


def verdict(lines: Sequence[Mapping[str, float]], best_step: int) -> Verdict:
    """Whether the last third of a training made conversion better.

    More training is recommended only if the score rose, `content` did not fall, and the held-out loss did not rise.

    Args:
        lines: of the training's log, in order.
        best_step: the step of the checkpoint that rendering uses.
    """
    lines = [line for line in lines if "score" in line]
    if len(lines) < ENOUGH:
        return Verdict(Trend.too_few, best_step, len(lines))
    steps = np.array([line["step"] for line in lines])[SMOOTHED - 1 :]
    late = steps > steps[-1] * 2 / 3
    score = _smoothed(lines, "score")
    before, after = float(score[~late].max(initial=0.0)), float(score[late].max())
    worse = _worse(lines, late)
    trend = Trend.flat if after <= before * (1 + WORTH) else Trend.overfitting if worse else Trend.rising
    since = int(steps[np.flatnonzero(score >= max(before, after) / (1 + WORTH))[0]])
    return Verdict(trend, best_step, len(lines), before, after, int(steps[-1]), since, tuple(worse))


def _smoothed(lines: Sequence[Mapping[str, float]], name: str) -> NDArray[np.float64]:
    """Means of SMOOTHED validations each; entry i ends at validation i + SMOOTHED - 1."""
    values = [line.get(name, np.nan) for line in lines]
    return np.convolve(values, np.ones(SMOOTHED) / SMOOTHED, "valid")


def _worse(lines: Sequence[Mapping[str, float]], late: NDArray[np.bool_]) -> list[str]:
    """The measures that got worse from their best before the last third to the end, in words."""
    found = []
    content, loss = _smoothed(lines, "content"), _smoothed(lines, "held_out")
    if content[-1] < content[~late].max(initial=0.0) * (1 - WORTH):
        found.append(f"content fell from {content[~late].max():.3f} to {content[-1]:.3f}")
    if loss[-1] > loss[~late].min(initial=np.inf) * (1 + WORTH):
        found.append(f"the held-out loss rose from {loss[~late].min():.3f} to {loss[-1]:.3f}")
    return found
