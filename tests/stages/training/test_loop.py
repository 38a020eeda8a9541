"""The training loop: checkpoints by time and on signals, an append-only log, and what cannot be resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from svc.common.errors import UserError
from svc.common.progress import Progress
from svc.stages import checkpoint
from svc.stages.checkpoint_records import BestRecord, LastRecord
from svc.stages.training.distributed import DistributedContext
from svc.stages.training.learner import Learner
from svc.stages.training.loop import Task, Tensors, TrainingLoop
from svc.stages.training.tensorboard import TensorBoard
from svc.stages.training_log import TrainingLog
from torch import Tensor, nn

OnStep = Callable[[int], None]


class Line(Task):
    """Fits a line by noisy points: small enough to be trained in milliseconds."""

    label = "line"

    def __init__(self, folder: Path, on_step: OnStep = lambda step: None, on_validation: OnStep = lambda step: None):
        self.folder, self.on_step, self.on_validation = folder, on_step, on_validation
        torch.manual_seed(0)
        self.learner = Learner(nn.Linear(1, 1), DistributedContext("cpu"), 0.1, (0.9, 0.99), 1.0, 0.9)
        self.saved: list[BestRecord] = []

    def read(self, step: int) -> Tensors:
        x = torch.rand(8, 1, generator=torch.Generator().manual_seed(step))
        return {"x": x, "y": 3 * x - 1}

    def train_step(self, step: int, tensors: Tensors) -> Tensor:
        loss = (self.learner.shared(tensors["x"]) - tensors["y"]).square().mean()
        self.learner.update(loss, 0.1, step)
        self.on_step(step)
        return loss.detach()

    def validate(self, step: int, tensorboard: TensorBoard) -> dict[str, float]:
        self.on_validation(step)
        held_out = self.read(10**6)
        with torch.no_grad():
            loss = float((self.learner.average(held_out["x"]) - held_out["y"]).square().mean())
        return {"held_out": loss, "score": 1 / (1 + loss)}

    def is_better(self, line: Mapping[str, float], best: BestRecord) -> bool:
        return line["score"] > best.score

    def save_best(self, record: BestRecord) -> None:
        self.saved.append(record)
        checkpoint.save(self.folder / "best.safetensors", checkpoint.prefixed("ema", self.learner.average), {})

    def state(self) -> Tensors:
        return self.learner.state()

    def load_state(self, tensors: Tensors) -> None:
        self.learner.load_state(tensors)


def loop(folder: Path, task: Task, steps: int = 40, every: int = 10, seconds: float = 300.0) -> TrainingLoop:
    folder.mkdir(exist_ok=True)
    distributed = DistributedContext("cpu")
    log = TrainingLog(folder / "log.jsonl")
    return TrainingLoop(task, folder / "last.safetensors", log, steps, every, distributed, None, seconds)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("loops") / "whole"
    loop(folder, Line(folder)).fit(Progress())
    return folder


def same(a: Path, b: Path) -> None:
    """To the bit: weights, averages, optimizers, and what the log says."""
    one, two = (checkpoint.load(path / "last.safetensors")[0] for path in (a, b))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert TrainingLog(a / "log.jsonl").read() == TrainingLog(b / "log.jsonl").read()


def kill(number: int, at: int) -> OnStep:
    def on_step(step: int) -> None:
        if step == at:
            os.kill(os.getpid(), number)

    return on_step


def test_it_trains_validates_and_logs(whole: Path) -> None:
    lines = TrainingLog(whole / "log.jsonl").read()
    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    assert lines[-1]["held_out"] < 0.2 * lines[0]["held_out"]
    record = checkpoint.load_record(whole / "last.safetensors", LastRecord)[1]
    assert (record.step, record.validated) == (40, 40)
    assert record.line["held_out"] == pytest.approx(lines[-1]["held_out"], abs=1e-5)


@pytest.mark.parametrize(("number", "ends"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
@pytest.mark.parametrize("at", [3, 9, 14, 39])
def test_a_signal_saves_and_the_same_training_goes_on(
    tmp_path: Path, whole: Path, number: int, ends: type, at: int
) -> None:
    folder, handlers = tmp_path / "r", [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(ends) as raised:
        loop(folder, Line(folder, kill(number, at))).fit(Progress())
    if isinstance(raised.value, SystemExit):
        assert raised.value.code == 143
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    record = checkpoint.load_record(folder / "last.safetensors", LastRecord)[1]
    assert record.step == at + 1
    assert (folder / "best.safetensors").exists()  # it can be rendered with already
    loop(folder, Line(folder)).fit(Progress())
    same(folder, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_validation_abandons_it_and_it_is_made_later(tmp_path: Path, whole: Path, number: int) -> None:
    folder = tmp_path / "r"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        loop(folder, Line(folder, on_validation=kill(number, 20))).fit(Progress())
    record = checkpoint.load_record(folder / "last.safetensors", LastRecord)[1]
    assert (record.step, record.validated) == (20, 10)
    loop(folder, Line(folder)).fit(Progress())
    same(folder, whole)


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    def twice(step: int) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

    folder = tmp_path / "r"
    with pytest.raises(KeyboardInterrupt):
        loop(folder, Line(folder, twice)).fit(Progress())
    assert not (folder / "last.safetensors").exists()


def test_checkpoints_are_written_by_time(tmp_path: Path, whole: Path) -> None:
    """With a limit of 0 s after every step, whatever the validations; killed, at most one step is lost."""
    folder = tmp_path / "r"

    def crash(step: int) -> None:
        if step == 7:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        loop(folder, Line(folder, crash), seconds=0.0).fit(Progress())
    assert checkpoint.load_record(folder / "last.safetensors", LastRecord)[1].step == 7
    assert (folder / "best.safetensors").exists()
    assert not (folder / "log.jsonl").exists()
    loop(folder, Line(folder)).fit(Progress())
    same(folder, whole)


def test_weights_of_a_stopped_training_give_way_to_the_first_measured(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    task = Line(folder, kill(signal.SIGINT, 2))
    with pytest.raises(KeyboardInterrupt):
        loop(folder, task).fit(Progress())
    assert task.saved == [BestRecord(3)]
    task = Line(folder)
    loop(folder, task).fit(Progress())
    assert task.saved[0].step == 10


def test_a_loss_that_is_not_finite_is_not_saved(tmp_path: Path) -> None:
    folder = tmp_path / "r"

    def spoil(step: int) -> None:
        if step == 5:
            task.learner.module.weight.data.fill_(torch.nan)

    task = Line(folder, spoil)
    with pytest.raises(UserError, match=r"diverged before step 6: model\.weight is not finite"):
        loop(folder, task, seconds=0.0).fit(Progress())
    good = checkpoint.load(folder / "last.safetensors")[0]
    assert all(value.isfinite().all() for value in good.values())


def test_a_lost_checkpoint_is_said_and_not_begun_anew(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    loop(folder, Line(folder), steps=20).fit(Progress())
    (folder / "last.safetensors").unlink()
    with pytest.raises(UserError, match=r"last.safetensors is missing, but .*log.jsonl says (.|\n)* step 20"):
        loop(folder, Line(folder)).fit(Progress())
    (folder / "log.jsonl").unlink()
    loop(folder, Line(folder), steps=20).fit(Progress())


def test_a_line_that_was_not_logged_before_a_kill_is_logged_on_resumption(tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "r"
    loop(folder, Line(folder), steps=20).fit(Progress())
    log = folder / "log.jsonl"
    log.write_text(log.read_text().splitlines()[0] + "\n")
    loop(folder, Line(folder)).fit(Progress())
    same(folder, whole)


def test_killed_at_random_moments(tmp_path: Path, whole: Path) -> None:
    """kill -9 at each start, in a separate process: the training continues, and ends as if never killed."""
    folder = tmp_path / "r"
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys, time; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path; from test_loop import Line, loop; from svc.common.progress import Progress\n"
        f"folder = Path({str(folder)!r})\n"
        "task = Line(folder, lambda step: time.sleep(0.02))\n"
        "loop(folder, task, seconds=0.05).fit(Progress())\n"
    )
    for attempt in range(6):
        process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)
        before = (folder / "last.safetensors").stat().st_mtime_ns if (folder / "last.safetensors").exists() else None
        while process.poll() is None and attempt < 5:
            path = folder / "last.safetensors"
            if path.exists() and path.stat().st_mtime_ns != before:
                time.sleep(0.013 * attempt)
                process.kill()
                break
            time.sleep(0.002)
        _, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors
    same(folder, whole)


# The log


def test_a_log_with_a_torn_last_line(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "log.jsonl")
    log.append(1, {"loss": 0.123456789})
    log.append(2, {"loss": 0.5})
    with log.path.open("ab") as file:
        file.write(b'{"step": 3, "lo')
    assert log.read() == [{"step": 1, "loss": 0.12346}, {"step": 2, "loss": 0.5}]
    log.append(3, {"loss": 0.25})
    assert [line["step"] for line in log.read()] == [1, 2, 3]
    assert log.path.read_bytes().startswith(b'{"step": 1')


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"garbage", b"[1]\n", b'{"no": 1}\n', b'{"step": "x"}\n', b"\xff\xfe\n", b"[" * 10_000]
)
def test_a_log_of_nothing_is_empty(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "log.jsonl").write_bytes(data)
    log = TrainingLog(tmp_path / "log.jsonl")
    assert log.read() == []
    log.append(5, {"loss": 1.0})
    assert log.read() == [{"step": 5, "loss": 1.0}]


def test_repeated_steps_supersede_what_was_logged_before(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "log.jsonl")
    for step, loss in ((10, 1.0), (20, 0.9), (30, 0.8), (20, 0.7), (30, 0.6)):
        log.append(step, {"loss": loss})
    assert [(line["step"], line["loss"]) for line in log.read()] == [(10, 1.0), (20, 0.7), (30, 0.6)]


def test_a_log_of_svc_0_1_has_the_names_of_today(tmp_path: Path) -> None:
    old = {
        "step": 10,
        "loss": 1.5,
        "held_out": 1.4,
        "words": 0.7,
        "voice": 0.8,
        "in_tune": 0.9,
        "lively": 0.6,
        "unwarped": 0.1,
    }
    (tmp_path / "log.jsonl").write_text(json.dumps({**old, "score": 0.7}) + "\n")
    (line,) = TrainingLog(tmp_path / "log.jsonl").read()
    assert line == {
        "step": 10, "loss": 1.5, "held_out": 1.4, "content": 0.7, "speaker": 0.8, "pitch": 0.9, "variance": 0.6,
        "formant_inversion": 0.1, "score": 0.7,
    }  # fmt: skip
