"""A new kind of column is one class and one line: here it is added in this file alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from svc.common.errors import UserError
from svc.pipeline import audio, frames
from svc.stages.extraction.extract import extract
from svc.stages.features import Feature, FeatureSettings, UtteranceInput, feature_named, registry
from svc.stages.settings import ExtractSettings
from svc.store import open_store
from svc.store.schema import MEL
from svc.store.verify import verify


@dataclass(frozen=True)
class SpectralCentroid(Feature):
    """`centroid`: the magnitude-weighted mean frequency of each mel frame's window, in Hz."""

    NAME = "centroid"
    axis, dtype, unit = MEL, "float32", "Hz"
    sample_rate = 22_050  # none of the others' rates

    def settings(self, made: FeatureSettings) -> dict[str, Any]:
        return {"window": 1024}

    def compute(self, utterance: UtteranceInput) -> NDArray[np.float32]:
        wav = torch.from_numpy(utterance.waveform.at(self.sample_rate))
        padded = torch.nn.functional.pad(wav, (384, 640))
        magnitude = padded.unfold(0, 1024, 256)[: utterance.waveform.mel_frames].mul(torch.hann_window(1024))
        magnitude = torch.fft.rfft(magnitude).abs()
        hz = torch.fft.rfftfreq(1024, 1 / self.sample_rate)
        return ((magnitude @ hz) / magnitude.sum(1).clamp_min(1e-9)).numpy().astype(np.float32)


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    (tmp_path / "tones").mkdir()
    for hz in (440, 3000):
        wav = 0.5 * np.sin(2 * np.pi * hz * np.arange(44_100) / 44_100)
        audio.write(tmp_path / "tones" / f"{hz}.wav", wav.astype(np.float32))
    return tmp_path / "tones"


def test_a_new_feature_is_one_class_and_one_line(
    tmp_path: Path, tones: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.zarr"
    extract([tones], path, ExtractSettings(encoder=str(encoder)))
    monkeypatch.setattr(registry, "FEATURES", [*registry.FEATURES, SpectralCentroid])
    report = extract([tones], path, ExtractSettings(features=("centroid",)))
    assert report.cells == {"centroid": 1}  # nothing else is computed again
    store = open_store(path)
    assert verify(store) == []
    for hz in (440, 3000):
        clip = store[str(hz)]
        assert clip.read("centroid").shape == (clip.row.mel_frames,)
        assert np.median(clip.read("centroid")) == pytest.approx(hz, rel=0.03)
    # From then on it is a column of the store: added recordings get it too, without the option.
    audio.write(tones / "new.wav", np.sin(np.arange(44_100) / 5).astype(np.float32))
    assert extract([tones], path, ExtractSettings()).cells["centroid"] == 1


def test_a_column_of_a_kind_not_known_stays_and_is_told(
    tmp_path: Path, tones: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(registry, "FEATURES", [*registry.FEATURES, SpectralCentroid])
        extract([tones], path, ExtractSettings(encoder=str(encoder), features=("centroid",)))
    assert extract([tones], path, ExtractSettings()).cells_computed == 0
    assert len(open_store(path)["440"].read("centroid"))


def test_a_column_asked_for_by_name(tmp_path: Path, tones: Path, encoder: Path) -> None:
    settings = ExtractSettings(encoder=str(encoder), features=("hidden/1", "mel_up/4", "hidden_down2/3"))
    extract([tones], tmp_path / "s.zarr", settings)
    assert {"hidden/1", "mel_up/4", "hidden_down2/3"} < set(open_store(tmp_path / "s.zarr").columns)
    with pytest.raises(UserError, match="'colour' is no column that svc computes"):
        extract([tones], tmp_path / "s.zarr", ExtractSettings(features=("colour",)))


@pytest.mark.parametrize(
    "name", ["hidden/12", "hidden/0", "hidden_up4/12", "hidden_down12/3", "soft", "mel", "mel_up/4", "mel_down/3", "f0"]
)
def test_names_are_parsed_and_built_alike(name: str) -> None:
    feature = feature_named(name)
    assert feature is not None
    assert feature.name == name


@pytest.mark.parametrize("name", ["hidden/", "hidden_up0/3", "mel_up", "mel_up/0", "mel/3", "f0/1", "hidden_up4", ""])
def test_names_of_no_kind(name: str) -> None:
    assert feature_named(name) is None


def test_features_run_along_the_frames_that_they_name() -> None:
    for kind in registry.FEATURES:
        assert kind.axis in ("mel", "unit")
        assert kind.dtype in ("float16", "float32", "int32")
        assert kind.sample_rate in (None, frames.MEL_RATE, frames.CONTENT_RATE)
