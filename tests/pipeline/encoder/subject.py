"""An encoder under test, its input, and distances of its results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from svc.pipeline.encoder.content import ContentEncoder
from svc.pipeline.encoder.registry import load_encoder
from torch import Tensor

from .examples import Example


@dataclass(frozen=True)
class Subject:
    """An encoder that was saved and loaded, and its model."""

    example: Example
    model: Any
    folder: Path
    encoder: ContentEncoder

    @property
    def layers(self) -> range:
        return range(self.encoder.layers + 1)

    def truth(self, wav: Tensor) -> Sequence[Tensor]:
        if self.example.truth is None:
            pytest.skip("no other implementation of this encoder")
        return self.example.truth(self.model, wav)

    def at(self, precision: str) -> ContentEncoder:
        return load_encoder(str(self.folder), "cpu", precision)


def clips(*seconds: float) -> list[Tensor]:
    """Noise whose loudness swells and fades, so that a clip's statistics are not those of its neighbours."""
    generator, made = torch.Generator().manual_seed(4), []
    for index, length in enumerate(seconds):
        count = round(16_000 * length)
        swell = torch.linspace(0, math.pi, count).sin() ** 2 + 0.05
        made.append(0.3 / (index + 1) * swell * torch.randn(count, generator=generator) + 0.02 * index)
    return made


def apart(got: Tensor, truth: Tensor) -> float:
    """Relative L2 distance."""
    assert got.shape == truth.shape
    return float((got - truth).norm() / truth.norm())
