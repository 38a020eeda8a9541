"""Neighbours among the target's own units."""

from pathlib import Path

import numpy as np
import pytest
import torch
from svc.stages.errors import UserError
from svc.stages.rendering.retrieval import Retrieval
from svc.store import open_store
from torch import nn


@pytest.fixture(scope="module")
def alto(store: Path) -> Retrieval:
    return Retrieval([store], ["alto"], "hidden/4", nn.Identity())


def test_it_holds_the_targets_units_and_no_others(alto: Retrieval, store: Path) -> None:
    clips = [clip for clip in open_store(store) if clip.speaker == "alto"]
    np.testing.assert_array_equal(alto.units, np.concatenate([clip.hidden(4) for clip in clips]).astype(np.float32))


def test_its_own_units_stay_and_others_are_moved_by_the_amount(alto: Retrieval) -> None:
    own = torch.from_numpy(alto.units[100:140])
    torch.testing.assert_close(alto.blend(own, 1.0), own, atol=1e-3, rtol=0)
    strange = own + 0.1
    whole = alto.blend(strange, 1.0)
    assert (whole - strange).norm() > 0.1
    torch.testing.assert_close(alto.blend(strange, 0.25), strange + (whole - strange) / 4)
    torch.testing.assert_close(alto.blend(strange, 0.0), strange)
    assert alto.blend(own[:0], 1.0).shape == (0, own.shape[1])


def test_the_weights_are_one_over_distance_squared(alto: Retrieval) -> None:
    unit = torch.from_numpy(alto.units[50:51]) + 0.05
    distance = torch.cdist(unit, torch.from_numpy(alto.units))[0]
    near = distance.topk(8, largest=False)
    weight = 1 / near.values**2
    expected = (weight / weight.sum()) @ torch.from_numpy(alto.units)[near.indices]
    torch.testing.assert_close(alto.blend(unit, 1.0)[0], expected, atol=1e-3, rtol=1e-3)


def test_nobody_to_retrieve_from_is_said(store: Path) -> None:
    with pytest.raises(UserError, match="too little of tenor"):
        Retrieval([store], ["tenor"], "hidden/4", nn.Identity())
