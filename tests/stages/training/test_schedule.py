import dataclasses
import math

import pytest
from svc.stages.settings import TrainSettings
from svc.stages.training.schedule import COSINE_END, learning_rate

SETTINGS = TrainSettings(learning_rate=1e-3, warmup=10, steps=110, halve_every=40)


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_it_rises_in_a_line(schedule: str) -> None:
    settings = dataclasses.replace(SETTINGS, schedule=schedule)
    assert [learning_rate(settings, step) for step in (0, 4, 9)] == pytest.approx([1e-4, 5e-4, 1e-3])


def test_cosine_falls_to_its_end() -> None:
    settings = dataclasses.replace(SETTINGS, schedule="cosine")
    middle = COSINE_END + (1 - COSINE_END) / 2
    quarter = COSINE_END + (1 - COSINE_END) * (1 + math.sqrt(0.5)) / 2
    rates = [learning_rate(settings, step) for step in (10, 35, 60, 110, 500)]
    assert rates == pytest.approx([1e-3, quarter * 1e-3, middle * 1e-3, COSINE_END * 1e-3, COSINE_END * 1e-3])


def test_step_halves_every_so_often() -> None:
    settings = dataclasses.replace(SETTINGS, schedule="step")
    assert [learning_rate(settings, s) for s in (39, 40, 79, 80, 120)] == [1e-3, 5e-4, 5e-4, 2.5e-4, 1.25e-4]


def test_constant_stays() -> None:
    settings = dataclasses.replace(SETTINGS, schedule="constant")
    assert {learning_rate(settings, step) for step in (10, 50, 1_000)} == {1e-3}


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_a_short_run_warms_up_in_a_tenth(schedule: str) -> None:
    settings = dataclasses.replace(SETTINGS, schedule=schedule, warmup=1_000, steps=50)
    assert [learning_rate(settings, step) for step in (0, 4)] == pytest.approx([2e-4, 1e-3])
