"""DNSMOS of the package speechmos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from svc.common.errors import SvcError
from svc.pipeline import audio
from svc.pipeline.metrics import naturalness
from svc.pipeline.metrics.naturalness import RATE, Dnsmos


@pytest.fixture(scope="module")
def model() -> Dnsmos:
    if naturalness.packaged_model() is None:
        pytest.skip("the network is in a package: pip install speechmos")
    return Dnsmos()


def test_clean_speech_is_better_than_noisy_speech(model: Dnsmos, shared: Path) -> None:
    path = sorted((shared / "audio" / "corpus" / "en_f_ljspeech").glob("*.flac"))[0]
    found = audio.scan(path)
    wav = audio.read(found, 0, found.frames)
    noisy = wav + np.random.default_rng(0).normal(0, 0.05, len(wav)).astype(np.float32)
    clean = model.overall(wav, found.sample_rate)
    assert 2.5 < clean < 4
    assert model.overall(noisy, found.sample_rate) < clean - 0.3


def test_of_any_length(model: Dnsmos) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 15 * RATE).astype(np.float32)
    assert np.isnan(model.overall(noise[:0], RATE))
    assert all(1 <= model.overall(noise[:count], RATE) <= 5 for count in (1_000, 9 * RATE, 15 * RATE))


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naturalness, "packaged_model", lambda: None)
    with pytest.raises(SvcError, match="pip install speechmos"):
        Dnsmos()
