"""What the page shows of a run."""

import json
import shutil
from pathlib import Path

from svc.stages.run import Run
from svc.stages.ui.run_facts import fill_from_run
from svc.stages.ui.schemas import Voice, VoiceState


def test_the_best_step_is_that_of_the_weights(tmp_path: Path, run: Path) -> None:
    """Not the step with the highest score: of equal scores the held-out loss decides."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    _, step = Run.open(copy).load_best("cpu")
    lines = [json.loads(line) for line in (copy / "log.jsonl").read_text().splitlines()]
    for line in lines:
        line["score"] = 0.5 if line["step"] == step else 0.501
    (copy / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    voice = Voice(id="a", name="a", state=VoiceState.empty, created=0.0, made_here=False)
    fill_from_run(voice, copy)
    assert (voice.state, voice.best_step, voice.steps) == (VoiceState.ready, step, lines[-1]["step"])
