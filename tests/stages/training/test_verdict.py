import numpy as np
from svc.stages.training.verdict import verdict


def scores(curve, count=30, noise=0.0):
    generator = np.random.default_rng(0)
    return [(100 * (i + 1), float(curve(i / count) + noise * generator.normal())) for i in range(count)]


def test_a_curve_that_rises_to_the_end_wants_more() -> None:
    said = verdict(scores(lambda t: 0.3 + 0.4 * t), 3000)
    assert "still getting better" in said
    assert "--steps 6000" in said
    assert "step 3000" in said


def test_a_curve_that_flattened_says_where() -> None:
    said = verdict(scores(lambda t: min(0.7, 0.2 + 1.5 * t)), 1500)
    assert "stopped helping at step 1" in said
    assert "best checkpoint is of step 1500" in said


def test_a_curve_that_falls_again_has_stopped_too() -> None:
    assert "stopped helping at step 1" in verdict(scores(lambda t: 0.7 - abs(t - 0.4)), 1300)


def test_wavering_is_not_taken_for_progress() -> None:
    """Flat but for noise of half a percent: the three-fold means differ by less than what is worth anything."""
    assert "stopped helping" in verdict(scores(lambda t: 0.7 if t > 0.1 else 0.2, noise=0.003), 900)


def test_nothing_is_said_of_too_few() -> None:
    assert "too few validations (3)" in verdict(scores(lambda t: t, 3), 300)
