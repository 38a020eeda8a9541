from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.pipeline.singer import Note, ode_to_joy, practice, sing
from svc.stages import demo as stage
from svc.stages.demo import VOICES, demo
from svc.stages.errors import UserError


def test_the_singer_is_the_same_from_a_seed_and_another_from_another() -> None:
    score = practice(VOICES[0], 2.0, 0)
    a, b, c = (sing(score, VOICES[0], seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_two_voices_sing_a_score_in_parallel() -> None:
    """The same notes at the same times (but for their vibrato), another timbre."""
    score = ode_to_joy(57)
    (a, f0_a), (b, f0_b) = (sing(score, voice, 0) for voice in VOICES)
    assert len(a) == len(b) == round(sum(note.seconds for note in score) * 44_100)
    both = (f0_a > 0) & (f0_b > 0)
    assert both.mean() > 0.6
    assert np.abs(1200 * np.log2(f0_a[both] / f0_b[both])).max() < 45 + 30 + 1
    assert np.corrcoef(a, b)[0, 1] < 0.9


def test_a_held_note_has_the_pitch_that_is_written() -> None:
    _, f0 = sing([Note(69, 1.0)], VOICES[0], 0)
    assert np.median(f0[4_000:-4_000]) == pytest.approx(440, rel=2e-3)


def test_the_demo_runs_whole_and_uses_again_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PHRASES", 3)
    monkeypatch.setattr(stage, "PHRASE_SECONDS", 2.0)
    out = tmp_path / "demo"
    said = demo(out, 5)
    assert soundfile.info(out / "song.bass.wav").frames == soundfile.info(out / "song.wav").frames
    assert (out / "song.bass.png").exists()
    assert "untrained" in said[-1]
    before = {p: p.stat().st_mtime_ns for p in (out / "corpus").rglob("*.wav")}
    demo(out, 5)
    assert {p: p.stat().st_mtime_ns for p in (out / "corpus").rglob("*.wav")} == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not made by svc demo"):
        demo(tmp_path, 5)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
