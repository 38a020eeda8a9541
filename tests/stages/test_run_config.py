"""run.json: files of svc 0.1 still open, and invalid ones are refused with one message."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from svc.common.errors import UserError
from svc.stages.run import Run
from svc.stages.run_format import read_config, write_config

FORMAT_2 = json.loads(Path(__file__).with_name("run_format_2.json").read_text("utf-8"))


def test_it_is_written_and_read(tmp_path: Path, run: Path) -> None:
    config = Run.open(run).config
    write_config(tmp_path / "run.json", config)
    assert read_config(tmp_path / "run.json") == config
    assert (tmp_path / "run.json").read_bytes() == (run / "run.json").read_bytes()
    assert config.shape.speakers == 2
    assert config.shape.unit_dim == 256


def test_format_2_opens_as_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(FORMAT_2))
    config = Run.open(tmp_path).config
    shape = asdict(config.shape)
    assert {**shape.pop("architecture"), **shape} == FORMAT_2["shape"]
    settings = asdict(config.settings)
    old = {"shallow_depth" if name == "depth" else name: value for name, value in FORMAT_2["settings"].items()}
    assert {**settings.pop("architecture"), **settings} == old
    assert [asdict(speaker) for speaker in config.speakers] == FORMAT_2["speakers"]
    assert (config.unit_column.name, config.unit_column.layer, config.unit_column.width) == ("hidden/6", 6, 256)
    assert config.encoder.description == FORMAT_2["encoder"]
    assert asdict(config.slices) == FORMAT_2["identity"]["slices"]
    assert config.pitch_settings.method == "swift-f0"
    assert (config.init_from, config.augmented, config.svc) == (None, (), "0.1.0")
    Run(tmp_path, config).save()  # and from here it is of format 3
    assert json.loads((tmp_path / "run.json").read_text())["version"] == 3
    assert Run.open(tmp_path).config == config


def test_format_2_before_it_had_augmentation_or_precision(tmp_path: Path) -> None:
    record = {name: value for name, value in FORMAT_2.items() if name not in ("augmented", "encoder_precision")}
    (tmp_path / "run.json").write_text(json.dumps(record))
    config = Run.open(tmp_path).config
    assert (config.augmented, config.encoder.precision) == (None, "fp32")
    assert Run(tmp_path, config).begun_with({3: "mel_up/3"}) == {3: "mel_up/3"}


def _set(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: Any) -> None:
        for key in path[:-1]:
            record = record[key]
        record[path[-1]] = to

    return change


def _drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda record: record.pop(name)


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no format": (_drop("format"), "not written by svc train"),
    "another format": (_set("format", to="zarr"), "not written by svc train"),
    "a newer version": (_set("version", to=9), "run format 9; this svc reads formats 2 and 3"),
    "a version that is no number": (_set("version", to=[3]), "run format"),
    "no settings": (_drop("settings"), "settings is missing"),
    "settings that are a list": (_set("settings", to=[]), "settings: expected an object"),
    "units of another kind": (_set("settings", "units", to="harder"), "units 'harder' is not known"),
    "a depth of text": (_set("settings", "shallow_depth", to="deep"), "settings.shallow_depth: expected a number"),
    "a depth of 7": (_set("settings", "shallow_depth", to=7), "shallow_depth must be above 0"),
    "units a billion wide": (_set("settings", "unit_dim", to=10**9), "unit_dim must be at most"),
    "negative layers": (_set("settings", "architecture", "layers", to=-1), "layers must be at least 1"),
    "a million layers": (_set("settings", "architecture", "layers", to=10**6), "layers must be at most"),
    "a dilation of 2^60": (_set("settings", "architecture", "dilation_cycle", to=60), "dilation_cycle must be"),
    "channels that are null": (_set("settings", "architecture", "channels", to=None), "channels: expected a whole"),
    "another denoiser": (_set("settings", "architecture", "denoiser", to="unet"), "denoiser 'unet' is not known"),
    "an unknown setting": (_set("settings", "magic", to=1), "settings.magic is not a known field"),
    "precision fp64": (_set("precision", to="fp64"), "precision: expected fp32 or bf16"),
    "stores that are numbers": (_set("stores", to=[1]), r"stores\[0\]: expected text"),
    "no speakers": (_set("speakers", to=[]), "expected at least one"),
    "speakers that are text": (_set("speakers", to="alto"), "speakers: expected a list"),
    "a name that is no text": (_set("speakers", 0, "name", to="\ud800"), r"speakers\[0\].name: expected text that can"),
    "an encoder in int3": (
        _set("encoder", "precision", to="int3"),
        "precision: expected fp32, bf16, fp16, found 'int3'",
    ),
    "a speaker without a name": (_set("speakers", to=[{}]), r"speakers\[0\].name is missing"),
    "two speakers of one name": (_set("speakers", to=[{"name": "a"}, {"name": "a"}]), "a name of its own"),
    "an f0 of text": (_set("speakers", 0, "f0_low", to="low"), "f0_low: expected a number"),
    "an f0 range that falls": (_set("speakers", 0, "f0_high", to=1.0), "must be positive and rise"),
    "a layer beyond the encoder": (_set("code_layer", to=99), "code_layer: expected 0 to"),
    "a negative layer": (_set("unit_column", "layer", to=-1), "layer must be at least 0"),
    "a column that leads out": (_set("unit_column", "name", to="../../x"), "not the name of a column"),
    "a column a billion wide": (_set("unit_column", "width", to=10**9), "width must be at most"),
    "an encoder that is text": (_set("encoder", to="hubert"), "encoder: expected an object"),
    "an encoder without layers": (_set("encoder", "description", to={}), "description.layers: expected"),
    "slices of a day": (_set("slices", "max_seconds", to=86_400), "must last 1 to 30 s"),
    "another tracker": (_set("pitch", "method", to="ear"), "f0 method 'ear' is not known"),
    "a pitch range that falls": (_set("pitch", "f0_max", to=1), "f0 range"),
    "another frame rate": (_set("frame_rates", "mel", to=1e9), "frame_rates: this svc computes"),
    "augmented columns that are objects": (_set("augmented", to=[{}]), r"augmented\[0\]: expected text"),
    "init_from that is a number": (_set("init_from", to=5), "init_from: expected text"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_record_is_refused_in_one_message(tmp_path: Path, run: Path, name: str) -> None:
    change, why = HOSTILE[name]
    record = json.loads((run / "run.json").read_text("utf-8"))
    change(record)
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=why) as raised:
        Run.open(tmp_path)
    assert str(tmp_path / "run.json") in str(raised.value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("shape", {**FORMAT_2["shape"], "unit_dim": 10**9}),
        ("shape", {**FORMAT_2["shape"], "channels": 7}),
        ("settings", {}),
        ("settings", {**FORMAT_2["settings"], "depth": None}),
        ("encoder", {}),
        ("unit_layer", None),
        ("identity", {"slices": {}}),
        ("pitch", {"method": 3}),
        ("speakers", [1]),
    ],
)
def test_a_hostile_record_of_format_2(tmp_path: Path, place: str, value: object) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**FORMAT_2, place: value}))
    with pytest.raises(UserError, match=r"run.json does not fit the format of a run: "):
        Run.open(tmp_path)
