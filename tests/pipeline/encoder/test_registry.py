"""The registry of encoders, with an encoder of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from svc.pipeline.encoder import registry
from svc.pipeline.encoder.network import EncoderError
from svc.pipeline.encoder.registry import load_encoder

from .examples import EXAMPLES
from .log_spectrum import LogSpectrum

pytestmark = pytest.mark.usefixtures("registered", "one_thread")


def test_a_registered_encoder_is_found_by_its_names() -> None:
    assert registry.short_names()["spectrum"] == "nobody/log-spectrum"
    with pytest.raises(EncoderError, match=r"encoder 'spectrum' \(nobody/log-spectrum\) is not on this machine"):
        load_encoder("spectrum")


def test_names_are_given_once() -> None:
    with pytest.raises(ValueError, match="of model_type 'log-spectrum' is registered already"):
        registry.register(LogSpectrum)
    with pytest.raises(ValueError, match="the encoder name 'spectrum' is registered already"):
        registry.register(type("Other", (LogSpectrum,), {"model_type": "other"}))


def test_extraction_takes_a_registered_encoder(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, corpus: Path
) -> None:
    from svc.stages.extraction.extract import extract
    from svc.stages.settings import ExtractSettings
    from svc.store import open_store

    example = EXAMPLES["log spectrum"]
    example.save(example.make(0), tmp_path / "spectrum")
    settings = ExtractSettings(encoder=str(tmp_path / "spectrum"), layers=(1, 2), f0="dio")
    assert not extract([corpus / "alto"], tmp_path / "s.zarr", settings).refused
    store = open_store(tmp_path / "s.zarr")
    assert store.columns["hidden/2"].settings["encoder"]["kind"] == "log-spectrum"
    assert store[0].hidden(2).shape == (store[0].row.unit_frames, 201)
