"""Neighbours among the target's own units."""

from pathlib import Path

import numpy as np
import pytest
import torch
from svc.common.errors import UserError
from svc.pipeline import unit_selection
from svc.stages.rendering import retrieval
from svc.stages.rendering.retrieval import Retrieval
from svc.store import open_store
from torch import nn


@pytest.fixture(scope="module")
def alto(store: Path) -> Retrieval:
    return Retrieval.of_stores([open_store(store)], ["alto"], "hidden/4", nn.Identity())


def test_it_holds_the_targets_units_and_no_others(alto: Retrieval, store: Path) -> None:
    clips = [clip for clip in open_store(store) if clip.speaker == "alto"]
    np.testing.assert_array_equal(alto.units, np.concatenate([clip.hidden(4) for clip in clips]).astype(np.float32))


def test_what_the_target_said_stays_and_other_units_are_moved_by_the_amount(alto: Retrieval, store: Path) -> None:
    """A clip's own frames are their own nearest neighbours, however the microphone coloured them."""
    clip = next(clip for clip in open_store(store) if clip.speaker == "alto")
    hidden = torch.from_numpy(clip.hidden(4).astype(np.float32))
    torch.testing.assert_close(alto.blend(hidden, hidden, 1.0), hidden, atol=2e-2, rtol=0)
    strange = hidden + 1.0
    whole = alto.blend(hidden, strange, 1.0)
    torch.testing.assert_close(alto.blend(hidden, strange, 0.25), strange + (whole - strange) / 4)
    torch.testing.assert_close(alto.blend(hidden, strange, 0.0), strange)
    assert alto.blend(hidden[:0], hidden[:0], 1.0).shape == (0, hidden.shape[1])


def test_it_is_blind_to_a_clips_mean_and_scale(alto: Retrieval, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_selection, "SHRINKAGE", 0)
    hidden = torch.randn(300, alto.units.shape[1], generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        alto.blend(hidden * 3 + 5, hidden, 1.0), alto.blend(hidden, hidden, 1.0), atol=1e-3, rtol=1e-3
    )


def test_neighbours_are_weighted_by_one_over_distance_squared(alto: Retrieval) -> None:
    hidden = alto.units[50:90] + torch.randn(40, alto.units.shape[1], generator=torch.Generator().manual_seed(0))
    near = torch.cdist(alto._key(hidden), alto.keys).topk(4, largest=False)
    weight = 1 / near.values**2
    expected = torch.einsum("uk,ukd->ud", weight / weight.sum(1, keepdim=True), alto.units[near.indices])
    torch.testing.assert_close(alto.blend(hidden, hidden, 1.0), expected, atol=1e-3, rtol=1e-3)


def test_of_a_large_corpus_utterances_are_taken_from_everywhere(
    store: Path, alto: Retrieval, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "MOST_FRAMES", len(alto.units) // 2)
    fewer = Retrieval.of_stores([open_store(store)], ["alto"], "hidden/4", nn.Identity())
    assert 0 < len(fewer.units) < 0.8 * len(alto.units)


def test_nobody_to_retrieve_from_is_said(store: Path) -> None:
    with pytest.raises(UserError, match="too little of tenor"):
        Retrieval.of_stores([open_store(store)], ["tenor"], "hidden/4", nn.Identity())
