"""The kind of units where nobody asks for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from svc.stages.extraction.extract import extract
from svc.stages.settings import ExtractSettings, TrainSettings
from svc.stages.training.plan import TrainingPlan, default_units, plan_training
from transformers import WhisperFeatureExtractor

from ...pipeline.encoder.examples import whisper


@pytest.fixture(scope="module")
def whisper_store(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """A store of a small Whisper."""
    folder = tmp_path_factory.mktemp("whisper")
    whisper(0).save_pretrained(folder / "model")
    WhisperFeatureExtractor().save_pretrained(folder / "model")
    extract([corpus / "alto"], folder / "s.zarr", ExtractSettings(encoder=str(folder / "model")))
    return folder / "s.zarr"


def units_of(plan: TrainingPlan) -> str:
    assert isinstance(plan.settings, TrainSettings)
    return plan.settings.units


def test_whisper_gets_hidden_units_and_others_soft_ones(whisper_store: Path, store: Path, tmp_path: Path) -> None:
    assert default_units("tiny", whisper_store, tmp_path / "run") == "hidden"
    assert default_units("tiny", store, tmp_path / "run") == "soft"
    assert units_of(plan_training([str(whisper_store)], tmp_path / "run", "tiny", "cpu")) == "hidden"


@pytest.mark.parametrize("asked", [{"units": "soft"}, {"unit_dim": 512}, {"codes": 200}])
def test_what_is_asked_for_holds(whisper_store: Path, tmp_path: Path, asked: dict[str, object]) -> None:
    assert units_of(plan_training([str(whisper_store)], tmp_path / "run", "tiny", "cpu", asked=asked)) == "soft"


def test_a_run_and_a_base_keep_theirs(whisper_store: Path, run: Path, tmp_path: Path) -> None:
    assert default_units("tiny", whisper_store, run) == "soft"
    assert default_units("tiny", whisper_store, tmp_path / "new", str(run)) == "soft"
