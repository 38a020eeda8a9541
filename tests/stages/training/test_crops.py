"""A step's random numbers do not depend on the number of processes."""

from __future__ import annotations

import torch
from svc.stages.training.crops import add_noise


def test_processes_draw_the_rows_of_one_batch() -> None:
    """Each draws its own rows alone, which are those of a single process."""
    whole = add_noise({"mask": torch.ones(6, 5)}, seed=3, step=7, bins=4)
    for parts in (2, 3):
        for part in range(parts):
            mine = add_noise({"mask": torch.ones(6 // parts, 5)}, 3, 7, 4, part, parts)
            assert torch.equal(mine["noise"], whole["noise"][part::parts])
            assert torch.equal(mine["uniform"], whole["uniform"][part::parts])


def test_noise_steps_are_stratified_and_noise_is_normal() -> None:
    drawn = add_noise({"mask": torch.ones(8, 400)}, seed=0, step=0, bins=128)
    assert torch.equal((drawn["uniform"] * 8).floor(), torch.arange(8.0))
    assert abs(float(drawn["noise"].mean())) < 0.01
    assert abs(float(drawn["noise"].std()) - 1) < 0.01
    assert not torch.equal(drawn["noise"][0], drawn["noise"][1])
    other = add_noise({"mask": torch.ones(8, 400)}, seed=0, step=1, bins=128)
    assert not torch.equal(other["noise"][0], drawn["noise"][0])
