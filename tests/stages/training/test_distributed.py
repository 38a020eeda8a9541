"""Several processes train the same model as one alone."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from svc.common.errors import UserError
from svc.common.progress import Progress
from svc.stages import checkpoint
from svc.stages.run import Run
from svc.stages.settings import TrainSettings
from svc.stages.training.acoustic_task import AcousticTask
from svc.stages.training.corpus import gather_corpus
from svc.stages.training.distributed import DistributedContext
from svc.stages.training.train import train
from svc.store import open_store

STEPS = 4

SCRIPT = """
import json, sys
from pathlib import Path
import torch
from svc.stages.training.acoustic_task import AcousticTask
from svc.common.records import read_record
from svc.stages.settings import TrainSettings
from svc.stages.training.train import train

torch.set_num_threads(1)
store, out, settings = sys.argv[1:]
first = {}
real = AcousticTask.train_step

def remembering(self, step, tensors):
    loss = real(self, step, tensors)
    if not first:
        first.update({name: p.grad.clone() for name, p in self.learner.module.named_parameters()})
        assert len(tensors["mask"]) == self.settings.batch // self.distributed.size
    return loss

AcousticTask.train_step = remembering
report = train([store], Path(out), read_record(TrainSettings, json.loads(settings)), "cpu")
if report.leads:
    first["processes"] = torch.tensor(torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1)
    torch.save(first, Path(out) / "gradients.pt")
"""


def named(name: str) -> Callable[[str], str]:
    return lambda text: f"{name}: {text}"


@pytest.fixture(scope="module")
def settings(train_settings: TrainSettings) -> TrainSettings:
    return dataclasses.replace(
        train_settings, units="hidden", unit_steps=5, steps=STEPS, validate_every=STEPS, precision="fp32"
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, store: Path, settings: TrainSettings) -> dict[int, Path]:
    """The same training by one process and by two, as `torchrun` starts them."""
    folder = tmp_path_factory.mktemp("teams")
    (folder / "script.py").write_text(SCRIPT)
    made = {}
    for processes in (1, 2):
        made[processes] = folder / f"run{processes}"
        arguments = [
            str(folder / "script.py"),
            str(store),
            str(made[processes]),
            json.dumps(dataclasses.asdict(settings)),
        ]
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        command = [sys.executable] if processes == 1 else launch
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return made


def test_two_processes_have_the_gradients_of_one(runs: dict[int, Path]) -> None:
    one, two = (torch.load(path / "gradients.pt", weights_only=True) for path in runs.values())
    assert (int(one.pop("processes")), int(two.pop("processes"))) == (1, 2)
    assert one.keys() == two.keys()
    assert sum(float(gradient.abs().sum()) for gradient in one.values()) > 0
    for name, gradient in one.items():
        torch.testing.assert_close(two[name], gradient, rtol=1e-4, atol=1e-6, msg=named(name))


def test_two_processes_reach_the_weights_of_one(runs: dict[int, Path]) -> None:
    one, two = (checkpoint.load(path / "last.safetensors")[0] for path in runs.values())
    for name, value in one.items():
        if name.startswith(("model", "ema")):
            torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4, msg=named(name))


def test_two_processes_write_one_log(runs: dict[int, Path]) -> None:
    one, two = ([json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()] for path in runs.values())
    assert len(two) == len(one) == 1
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=1e-3)
    assert two[0]["held_out"] == pytest.approx(one[0]["held_out"], rel=1e-3)


def test_rows_of_all_processes_are_the_batch(store: Path, run: Path, settings: TrainSettings) -> None:
    """Whatever their number: crops, noise and all."""
    corpus = gather_corpus([open_store(store)], Progress())
    task = AcousticTask(Run.open(run), corpus, DistributedContext("cpu"))
    whole = task.read(5)
    for size in (2, 4):
        for rank in range(size):
            task.distributed.size, task.distributed.rank = size, rank
            part = task.read(5)
            for name, value in part.items():
                expected = whole[name] if name == "total_frames" else whole[name][rank::size]
                assert (value == expected).all(), name


def test_a_batch_that_does_not_split_is_refused(
    tmp_path: Path, store: Path, settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import svc.stages.training.train as module

    distributed = DistributedContext("cpu")
    distributed.size = 3
    monkeypatch.setattr(module, "DistributedContext", lambda device: distributed)
    with pytest.raises(UserError, match="batch of 4 does not split over 3"):
        train([store], tmp_path / "r", settings)


STOPPED = """
import dataclasses, json, os, signal, sys
from pathlib import Path
import torch
from svc.common.records import read_record
from svc.stages.settings import TrainSettings
from svc.stages.training.acoustic_task import AcousticTask
from svc.stages.training.train import train

torch.set_num_threads(1)
store, out, settings, stop = sys.argv[1:]
real = AcousticTask.train_step

def step(self, number, tensors):
    if number == 3 and os.environ["RANK"] in stop:
        os.kill(os.getpid(), signal.SIGTERM)
    return real(self, number, tensors)

AcousticTask.train_step = step
train([store], Path(out), read_record(TrainSettings, json.loads(settings)), "cpu")
"""


def two_processes(folder: Path, store: Path, out: Path, settings: TrainSettings, stop: str = "") -> list[int]:
    """Exit codes of two processes that train together; those whose rank is in `stop` get a SIGTERM at step 3."""
    (folder / "stopped.py").write_text(STOPPED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    text = json.dumps(dataclasses.asdict(settings))
    started = [
        subprocess.Popen(
            [sys.executable, str(folder / "stopped.py"), str(store), str(out), text, stop],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "ACCELERATE_USE_CPU": "true"},
        )
        for rank in range(2)
    ]
    return [process.wait(300) for process in started]


@pytest.mark.long
@pytest.mark.parametrize("stop", ["0", "1", "01"])
def test_sigterm_to_any_process_stops_all_with_a_checkpoint_that_is_gone_on_from(
    tmp_path: Path, store: Path, settings: TrainSettings, stop: str
) -> None:
    """A process that stopped alone would block the others; a resumed training ends as an uninterrupted one."""
    longer = dataclasses.replace(settings, steps=12, validate_every=12)
    assert two_processes(tmp_path, store, tmp_path / "whole", longer) == [0, 0]
    assert two_processes(tmp_path, store, tmp_path / "run", longer, stop) == [143, 143]
    assert checkpoint.describe(tmp_path / "run" / "last.safetensors")["step"] == 5
    assert two_processes(tmp_path, store, tmp_path / "run", longer) == [0, 0]
    whole, resumed = (checkpoint.load(tmp_path / name / "last.safetensors")[0] for name in ("whole", "run"))
    for name, value in whole.items():
        if name.startswith(("model", "ema")):
            torch.testing.assert_close(resumed[name], value, rtol=0, atol=0, msg=name)
