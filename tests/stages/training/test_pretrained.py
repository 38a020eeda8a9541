"""Beginning from another run."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from svc.common.errors import UserError
from svc.stages import checkpoint
from svc.stages.pack import pack
from svc.stages.run import Run
from svc.stages.settings import AUTO_BASE, PRESETS, ExtractSettings, TrainSettings
from svc.stages.settings.choice import replaced
from svc.stages.training.pretrained import copy_weights, shipped
from svc.stages.training.train import train


@pytest.fixture(scope="module")
def solo(tmp_path_factory: pytest.TempPathFactory, corpus: Path, encoder: Path) -> Path:
    """A store of one of the base's two voices, by another name."""
    from svc.stages.extraction.extract import extract

    folder = tmp_path_factory.mktemp("solo")
    shutil.copytree(corpus / "alto", folder / "c" / "carla")
    extract([folder / "c"], folder / "s.zarr", ExtractSettings(encoder=str(encoder)))
    return folder / "s.zarr"


def test_it_goes_on_from_the_bases_units_and_weights(
    tmp_path: Path, solo: Path, run: Path, train_settings: TrainSettings
) -> None:
    settings = dataclasses.replace(train_settings, steps=1, validate_every=1, learning_rate=1e-9)
    train([solo], tmp_path / "r", settings, init_from=run)
    assert (tmp_path / "r" / "units.safetensors").read_bytes() == (run / "units.safetensors").read_bytes()
    base, new = (checkpoint.load(path / "best.safetensors")[0] for path in (run, tmp_path / "r"))
    for name, value in new.items():
        if name == "ema.condition.speaker.weight":  # a new voice begins as the mean of those known
            value, base[name] = value[0], base[name].mean(0)
        torch.testing.assert_close(value, base[name], atol=1e-6, rtol=1e-5)


def test_a_voice_known_by_name_keeps_its_own(run: Path) -> None:
    base = Run.open(run)
    model = base.new_model()
    copy_weights(model, base, ["bass", "alto"])
    known = checkpoint.load(base.best)[0]["ema.condition.speaker.weight"]
    assert torch.equal(model.condition.speaker.weight, known[[1, 0]])


def test_a_base_that_does_not_fit_is_refused_with_the_difference(
    tmp_path: Path, solo: Path, run: Path, train_settings: TrainSettings
) -> None:
    settings = replaced(train_settings, {"channels": 32})
    with pytest.raises(UserError, match=r"shape.architecture.channels: 64 in the base, 32 asked for"):
        train([solo], tmp_path / "r", settings, init_from=run)
    assert not (tmp_path / "r" / "run.json").exists()


def test_a_base_that_was_never_trained_is_refused(
    tmp_path: Path, solo: Path, store: Path, run: Path, train_settings: TrainSettings
) -> None:
    copy = tmp_path / "untrained"
    shutil.copytree(run, copy)
    (copy / "best.safetensors").unlink()
    with pytest.raises(UserError, match="never trained"):
        train([solo], tmp_path / "r", train_settings, init_from=copy)


def test_a_packed_base_gives_its_weights_in_float16(
    tmp_path: Path, solo: Path, run: Path, train_settings: TrainSettings
) -> None:
    report = pack(run, tmp_path / "b.svc", base=True)
    assert report.size < 0.6 * (run / "best.safetensors").stat().st_size + (run / "units.safetensors").stat().st_size
    assert "svc train --store STORE --base" in report.lines()[-1]
    settings = dataclasses.replace(train_settings, steps=1, validate_every=1, learning_rate=1e-9)
    train([solo], tmp_path / "r", settings, init_from=tmp_path / "b.svc")
    base, new = (checkpoint.load(path / "best.safetensors")[0] for path in (run, tmp_path / "r"))
    torch.testing.assert_close(new["ema.mel_mean"], base["ema.mel_mean"], atol=0, rtol=0)
    name = "ema.condition.units.weight"
    torch.testing.assert_close(new[name], base[name], atol=1e-3, rtol=1e-3)


def test_no_base_ships_for_an_encoder_of_the_users_own(
    tmp_path: Path, solo: Path, train_settings: TrainSettings
) -> None:
    train([solo], tmp_path / "r", train_settings, only="units", init_from=AUTO_BASE)
    assert Run.open(tmp_path / "r").config.init_from is None


def test_mini_begins_from_the_base_that_ships(tmp_path: Path, corpus: Path) -> None:
    from svc.stages.extraction.extract import extract

    extract([corpus / "alto"], tmp_path / "s.zarr", ExtractSettings(encoder="mini"))
    settings = dataclasses.replace(PRESETS["tiny"], steps=1, batch=1)
    train([tmp_path / "s.zarr"], tmp_path / "r", settings, init_from=AUTO_BASE)
    run = Run.open(tmp_path / "r")
    assert run.config.init_from == "shipped:mini"
    base = next(Run.open(path) for path in shipped() if path.stem == "mini")
    assert run.units.read_bytes() == base.units.read_bytes()
    train([tmp_path / "s.zarr"], tmp_path / "r", dataclasses.replace(settings, steps=2))  # continues without the option
    # Other codes than the base's were asked for: they are made, and not dropped for a base that nobody named.
    codes = dataclasses.replace(settings, codes=4, unit_steps=2)
    train([tmp_path / "s.zarr"], tmp_path / "codes", codes, only="units", init_from=AUTO_BASE)
    assert Run.open(tmp_path / "codes").config.init_from is None


def test_a_recorded_base_that_does_not_ship_any_more_is_named(
    tmp_path: Path, solo: Path, run: Path, train_settings: TrainSettings
) -> None:
    train([solo], tmp_path / "r", train_settings, only="units", init_from=run)
    begun = Run.open(tmp_path / "r")
    dataclasses.replace(begun, config=dataclasses.replace(begun.config, init_from="shipped:gone")).save()
    with pytest.raises(UserError, match="base voice 'gone', which this version of svc does not have"):
        train([solo], tmp_path / "r", train_settings)
