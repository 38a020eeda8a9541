from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import soundfile
from svc.common.errors import UserError
from svc.stages import demo as stage
from svc.stages.demo import demo
from svc.stages.parallel_singers import ParallelSingers
from svc.stages.settings import PRESETS


def test_the_demo_runs_whole_and_uses_again_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "SINGERS", ParallelSingers(phrases=3, seconds=3.0, songs=("sakura",)))
    monkeypatch.setitem(PRESETS, "tiny", dataclasses.replace(PRESETS["tiny"], unit_steps=20, codes=20))
    out = tmp_path / "demo"
    said = demo(out, 5)
    assert soundfile.info(out / "song.bass.wav").frames == soundfile.info(out / "songs" / "sakura.wav").frames
    assert (out / "song.bass.png").exists()
    assert soundfile.info(out / "song.kathleen.wav").frames == soundfile.info(out / "song.bass.wav").frames
    page = (out / "run" / "evaluation" / "evaluation.html").read_text("utf-8")
    assert page.count("<audio") == 7
    assert "://" not in page
    metadata = json.loads((out / "run" / "evaluation" / "evaluation.json").read_text("utf-8"))
    assert metadata["rows"]["copy of the source"]["cr"] == 0
    assert not metadata["gates"]["G1"]["passed"]  # after five steps
    assert any("not passed" in line for line in said)
    assert "synthetic" in said[-1]
    kept = [*(out / "corpus").rglob("*.wav"), *(out / "corpus.zarr").rglob("c/*"), out / "run" / "last.safetensors"]
    before = [path.stat().st_mtime_ns for path in kept]

    def stop(*_: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(stage, "RunConverter", stop)  # what follows is made anew
    with pytest.raises(InterruptedError):
        demo(out, 5)
    assert [path.stat().st_mtime_ns for path in kept] == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not made by svc demo"):
        demo(tmp_path, 5)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
