"""The step whose weights a run renders with."""

from svc.stages.checkpoint_records import BestRecord
from svc.stages.training.acoustic_task import converts_better


def chosen(*lines: tuple[float, float]) -> int:
    """The number of the validation that is chosen, of (score, held-out loss) in order."""
    best, number = BestRecord(), -1
    for step, (score, loss) in enumerate(lines):
        if converts_better({"score": score, "held_out": loss}, best):
            best, number = BestRecord(step, score, loss, max(score, best.highest)), step
    return number


def test_higher_score_is_better() -> None:
    assert chosen((0.80, 1.0), (0.90, 1.2)) == 1


def test_loss_decides_between_equal_scores() -> None:
    assert chosen((0.8816, 1.247), (0.8786, 1.234), (0.8801, 1.224)) == 2
    assert chosen((0.8816, 1.2), (0.8801, 1.3)) == 0
    assert chosen((0.8816, 1.2), (0.8830, 1.3)) == 0
    # The demo's, whose later steps are better by every measure with a true result
    assert chosen((0.951, 1.169), (0.939, 1.152), (0.932, 1.144), (0.936, 1.138), (0.926, 1.135), (0.927, 1.134)) == 5


def test_slow_decline_does_not_count_as_equal() -> None:
    assert chosen((0.90, 1.0), (0.88, 0.9), (0.86, 0.8), (0.84, 0.7)) == 1


def test_record_of_a_run_made_before() -> None:
    before = BestRecord(3, 0.9, 1.0)  # svc 0.1 did not write `highest`
    assert converts_better({"score": 0.895, "held_out": 0.9}, before)
    assert not converts_better({"score": 0.87, "held_out": 0.1}, before)
