from collections.abc import Callable
from typing import Any

import numpy as np
from svc.stages.training.verdict import verdict


def scores(
    curve: Callable[[float], float],
    count: int = 30,
    noise: float = 0.0,
    more: Callable[[float], dict[str, float]] = lambda t: {"content": 0.5 + 0.1 * t, "held_out": 1.5 - t},
) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    return [
        {"step": 100 * (i + 1), "score": float(curve(i / count) + noise * generator.normal()), **more(i / count)}
        for i in range(count)
    ]


def test_a_curve_that_rises_to_the_end_wants_more() -> None:
    said = str(verdict(scores(lambda t: 0.3 + 0.4 * t), 3000))
    assert "still getting better" in said
    assert "--steps 6000" in said
    assert "step 3000" in said


def test_a_curve_that_flattened_says_where() -> None:
    said = str(verdict(scores(lambda t: min(0.7, 0.2 + 1.5 * t)), 1500))
    assert "stopped helping at step 1" in said
    assert "best checkpoint is of step 1500" in said


def test_a_curve_that_falls_again_has_stopped_too() -> None:
    assert "stopped helping at step 1" in str(verdict(scores(lambda t: 0.7 - abs(t - 0.4)), 1300))


def test_wavering_is_not_taken_for_progress() -> None:
    """Flat but for noise of half a percent: the means of three differ by less than the threshold."""
    assert "stopped helping" in str(verdict(scores(lambda t: 0.7 if t > 0.1 else 0.2, noise=0.003), 900))


def test_nothing_is_said_of_too_few() -> None:
    assert "too few validations (3)" in str(verdict(scores(lambda t: t, 3), 300))


def test_a_score_that_rises_while_content_is_lost_wants_no_more() -> None:
    """As it was seen: words fell from .712 to .665 and the held-out loss rose over the last 1,000 steps."""

    def overfitted(t: float) -> dict[str, float]:
        return {"content": 0.712 - max(0, t - 0.6) * 0.12, "held_out": 1.3 + max(0, t - 0.5) * 0.2}

    said = str(verdict(scores(lambda t: 0.3 + 0.4 * t, more=overfitted), 3000))
    assert "more training would help" not in said
    assert "content fell from 0.712 to 0.67" in said
    assert "the held-out loss rose from 1.3" in said
    assert "more training would overfit" in said


def test_a_loss_that_rises_alone_is_enough() -> None:
    said = str(verdict(scores(lambda t: 0.3 + 0.4 * t, more=lambda t: {"content": 0.6, "held_out": 1 + t}), 3000))
    assert "more training would overfit" in said
    assert "content" not in said
