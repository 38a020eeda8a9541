"""Parts of benchmarks/soft.py."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def soft() -> ModuleType:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        return importlib.import_module("soft")


def test_hidden_spans_are_spans_of_about_the_share_asked(soft: ModuleType) -> None:
    hidden = np.stack([soft.hidden_spans(200, 0.55, 10, np.random.default_rng(seed)) for seed in range(50)])
    assert 0.35 < hidden.mean() < 0.55  # spans overlap
    runs = np.diff(np.flatnonzero(np.diff(np.pad(hidden[0].astype(int), 1)) != 0))[::2]
    assert runs.min() >= 10
