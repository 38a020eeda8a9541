"""Checkpoints: a flipped bit is found, sizes are compared before memory is allocated, hostile metadata is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from svc.common.errors import UserError
from svc.pipeline.diffusion.shape import Architecture
from svc.stages import checkpoint
from svc.stages.checkpoint_records import BestRecord, LastRecord, UnitsRecord
from svc.stages.run import Run
from svc.stages.run_format import write_config
from torch import nn

TENSORS = {"ema.weight": torch.arange(12.0).reshape(3, 4), "ema.bias": torch.arange(3.0)}


def test_it_is_written_and_read(tmp_path: Path) -> None:
    metadata = {"step": 3, "text": 'quotes " and "sha256":"' + checkpoint.NO_DIGEST + '"'}
    checkpoint.save(tmp_path / "c.safetensors", TENSORS, metadata)
    tensors, found = checkpoint.load(tmp_path / "c.safetensors")
    assert found == metadata
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert checkpoint.shapes(tmp_path / "c.safetensors") == {"ema.weight": (3, 4), "ema.bias": (3,)}
    module, record = checkpoint.load_module(tmp_path / "c.safetensors", "ema", lambda: nn.Linear(4, 3), Anything)
    assert torch.equal(module.weight, TENSORS["ema.weight"])
    assert record.step == 3


@dataclasses.dataclass(frozen=True)
class Anything:
    step: int
    text: str = ""


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, TENSORS, asdict(BestRecord(3, 0.5, 0.25)))
    good, chance = path.read_bytes(), random.Random(0)
    places = [(at, bit) for at in range(len(good)) for bit in range(8)]
    for at, bit in chance.sample(places, min(1500, len(places))):
        data = bytearray(good)
        data[at] ^= 1 << bit
        path.write_bytes(data)
        with pytest.raises(UserError, match="is damaged, or no checkpoint of svc"):
            checkpoint.load(path)
    path.write_bytes(good)
    checkpoint.load(path)


@pytest.mark.parametrize("name", ["units", "last", "best"])
def test_a_flipped_bit_in_a_run_is_refused_with_the_file_s_name(tmp_path: Path, run: Path, name: str) -> None:
    shutil.copytree(run, tmp_path / "r")
    path = tmp_path / "r" / f"{name}.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 4
    path.write_bytes(data)
    copy = Run.open(tmp_path / "r")
    loads: dict[str, Callable[[], object]] = {
        "units": copy.load_units,
        "last": lambda: checkpoint.load(copy.last),
        "best": lambda: copy.load_best("cpu"),
    }
    load = loads[name]
    with pytest.raises(UserError, match=rf"{name}.safetensors is damaged(.|\n)*checksum(.|\n)*Restore it"):
        load()


def test_a_checkpoint_of_svc_0_1_has_no_checksum_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    safetensors.torch.save_file(TENSORS, path, {"facts": json.dumps({"step": 9, "score": 0.5, "loss": 1.5})})
    assert checkpoint.load_record(path, BestRecord)[1] == BestRecord(9, 0.5, 1.5)


@pytest.mark.parametrize(
    ("kind", "metadata", "why"),
    [
        (BestRecord, {"step": "x"}, "step: expected a whole number"),
        (BestRecord, {"step": 1, "score": None}, "score: expected a number"),
        (BestRecord, {"step": 1, "evil": 2}, "evil is not a known field"),
        (LastRecord, {}, "step is missing"),
        (LastRecord, {"step": 1, "best": []}, "best: expected an object"),
        (UnitsRecord, {"codes": 5}, "accuracy is missing"),
        (UnitsRecord, {"codes": 5, "accuracy": "all", "loss": 1, "chance": 0, "seconds": 1}, "accuracy: expected"),
    ],
)
def test_hostile_metadata_is_refused(tmp_path: Path, kind: type, metadata: dict[str, object], why: str) -> None:
    checkpoint.save(tmp_path / "c.safetensors", TENSORS, metadata)
    with pytest.raises(UserError, match=why):
        checkpoint.load_record(tmp_path / "c.safetensors", kind)


@pytest.mark.parametrize("facts", ["", "[]", "3", "{", "[" * 100_000, '{"a": NaN}'])
def test_hostile_facts_are_refused(tmp_path: Path, facts: str) -> None:
    path = tmp_path / "c.safetensors"
    safetensors.torch.save_file(TENSORS, path, {"facts": facts})
    with pytest.raises(UserError, match=r"c.safetensors is damaged"):
        checkpoint.load_record(path, BestRecord)


def test_what_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, why in ((tmp_path / "pipe", "not a regular file"), (tmp_path, "not a regular file")):
        with pytest.raises(UserError, match=why):
            checkpoint.load(path)
        with pytest.raises(UserError, match=why):
            checkpoint.shapes(path)
    with pytest.raises(UserError, match="does not exist"):
        checkpoint.load(tmp_path / "nothing")


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    bad = {**TENSORS, "ema.bias": torch.tensor([0.0, float("nan"), 1.0])}
    checkpoint.save(tmp_path / "c.safetensors", bad, {"step": 1})
    with pytest.raises(UserError, match=r"ema.bias holds values that are not finite"):
        checkpoint.load_module(tmp_path / "c.safetensors", "ema", lambda: nn.Linear(4, 3), Anything)


def test_sizes_are_compared_before_memory_is_allocated(tmp_path: Path, run: Path) -> None:
    """A run.json whose sizes would take terabytes beside small weights is refused in little memory."""
    shutil.copytree(run, tmp_path / "r")
    config = Run.open(run).config
    huge = Architecture(65_536, "lynxnet2", 65_536, 1_000, 4, 1_000, 65_536)
    settings = dataclasses.replace(config.settings, architecture=huge, unit_dim=65_536)
    write_config(tmp_path / "r" / "run.json", dataclasses.replace(config, settings=settings))
    code = (
        "import resource, sys; from pathlib import Path; from svc.stages.run import Run\n"
        "run = Run.open(Path(sys.argv[1])); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for load in (run.load_units, lambda: run.load_best('cpu')):\n"
        "    try: load()\n"
        "    except Exception as error: print(type(error).__name__, str(error).splitlines()[0])\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "r")], capture_output=True, text=True)
    *errors, megabytes = done.stdout.splitlines()
    assert [error.split()[0] for error in errors] == ["UserError", "UserError"], done.stderr[-1000:]
    assert all("does not fit the model" in error and "expected (" in error for error in errors)
    assert int(megabytes) < 300


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    """Whatever the order of the library's hash table is, and with any characters in names."""
    path, found = tmp_path / "c.safetensors", set()
    for _ in range(20):
        checkpoint.save(path, {"목소리": torch.ones(3), "a": torch.zeros(2, 2)}, {"sha256": "x", "step": 3})
        found.add(path.read_bytes())
    assert len(found) == 1
    assert checkpoint.load(path)[1] == {"sha256": "x", "step": 3}
    assert checkpoint.shapes(path) == {"목소리": (3,), "a": (2, 2)}
