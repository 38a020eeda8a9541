"""Parallel singers as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.common.errors import UserError
from svc.common.progress import Progress
from svc.stages.parallel_singers import ParallelSingers, singers_of

SMALL = ParallelSingers(phrases=2, seconds=2.0, songs=("drawn-1",))


def test_a_folder_is_made_once_and_is_again_what_it_was(tmp_path: Path) -> None:
    SMALL.make(tmp_path, Progress())
    files = sorted(tmp_path.rglob("*.wav"))
    assert [str(f.relative_to(tmp_path)) for f in files] == [
        "corpus/alto/phrase_00.wav",
        "corpus/alto/phrase_01.wav",
        "corpus/bass/phrase_00.wav",
        "corpus/bass/phrase_01.wav",
        "songs/drawn-1.wav",
    ]
    labels = (tmp_path / "corpus" / "alto" / "phrase_00.lab").read_text().splitlines()
    score = SMALL.phrase(SMALL.voices[0], 0)
    assert [line.split()[2] for line in labels] == list(score.phones)
    assert [float(line.split()[1]) for line in labels] == pytest.approx(score.bounds[1:], abs=1e-5)
    before = {f: f.stat().st_mtime_ns for f in files}
    SMALL.make(tmp_path, Progress())
    assert {f: f.stat().st_mtime_ns for f in files} == before
    wav, rate = soundfile.read(files[0], dtype="float32")
    again = SMALL.corpus(SMALL.voices[0])[0][0]
    assert rate == 44_100
    assert np.abs(wav - again).max() < 1 / 32_000
    ParallelSingers(source=5, phrases=2, seconds=2.0, songs=("drawn-1",)).make(tmp_path, Progress())
    assert not np.array_equal(soundfile.read(files[0], dtype="float32")[0], wav)


def test_a_description_is_read_back_and_found_beside_a_run(tmp_path: Path) -> None:
    SMALL.make(tmp_path, Progress())
    assert ParallelSingers.open(tmp_path) == ParallelSingers.open(tmp_path / "singers.json") == SMALL
    assert singers_of(tmp_path / "run") == tmp_path / "singers.json"
    assert singers_of(tmp_path) is None
    (tmp_path / "singers.json").write_text("{}")
    with pytest.raises(UserError, match="no description of singers"):
        ParallelSingers.open(tmp_path)
    with pytest.raises(UserError, match="there is no"):
        ParallelSingers.open(tmp_path / "corpus")


def test_phrases_are_not_the_same_for_both_and_songs_are_of_neither() -> None:
    a, b = SMALL.voices
    drawn = [SMALL.phrase(a, 0), SMALL.phrase(a, 1), SMALL.phrase(b, 0), SMALL.score("drawn-1")]
    assert len({score.phones for score in drawn}) == 4
