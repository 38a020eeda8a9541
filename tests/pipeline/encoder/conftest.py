"""Fixtures of the conformance tests: each example, loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from svc.pipeline.encoder import registry
from svc.pipeline.encoder.registry import load_encoder

from .examples import EXAMPLES
from .log_spectrum import LogSpectrum
from .subject import Subject


@pytest.fixture(scope="module")
def registered() -> Iterator[None]:
    """`LogSpectrum` is registered while a module's tests run."""
    registry.register(LogSpectrum)
    yield
    registry.ENCODERS.remove(LogSpectrum)


@pytest.fixture(scope="module", params=EXAMPLES)
def subject(
    registered: None, one_thread: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    """Each example, loaded."""
    example = EXAMPLES[request.param]
    model, folder = example.make(0), tmp_path_factory.mktemp("encoders") / "saved"
    example.save(model, folder)
    return Subject(example, model, folder, load_encoder(str(folder)))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One torch thread, as in extract's workers, and many times faster beside other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
