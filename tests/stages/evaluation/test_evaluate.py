"""Evaluation of a run whose songs' truth nobody knows; that of parallel singers is in test_demo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from svc.common.errors import UserError
from svc.data.singers import draw_score, draw_voice, sing
from svc.pipeline.metrics.audio_features import AudioFeatures
from svc.pipeline.metrics.phone_agreement import PhoneGroupClassifier
from svc.pipeline.vocoder.pulse_noise import PulseNoise
from svc.stages.evaluation.parallel import evaluate_truth
from svc.stages.evaluation.without_reference import evaluate_songs, judge_phones, score_against_source
from svc.stages.parallel_singers import ParallelSingers

VOICES = {"a": draw_voice(1, True), "b": draw_voice(2, False)}


@pytest.fixture(scope="module")
def own() -> dict[str, list[np.ndarray]]:
    """Both voices' utterances as log mels."""
    scores = [draw_score("ko", 6.0, seed, midi=57) for seed in range(6)]
    return {name: [AudioFeatures(sing(score, voice)).mel for score in scores] for name, voice in VOICES.items()}


def test_the_true_conversion_is_told_from_a_copy(own: dict[str, list[np.ndarray]]) -> None:
    """Of a stranger's song: its true conversion into b is b, and does not leak; a copy leaks, and is no nearer."""
    score = draw_score("ko", 8.0, 77, midi=57)
    song, truth = sing(score, draw_voice(9, True)), sing(score, VOICES["b"])
    right, copy = (
        score_against_source(AudioFeatures(song), AudioFeatures(result), 0.0, "b", own) for result in (truth, song)
    )
    assert right.as_target > 0.9 > 0.1 > right.as_source
    assert copy.as_source > 0.8
    assert copy.as_target < 0.1
    assert copy.cents == 0
    assert right.cents < 10
    assert min(right.loudness, copy.loudness) > 0.85
    assert right.off_db < 0.7 * copy.off_db
    assert copy.off_db == pytest.approx(copy.source_off_db)
    assert 0.6 < right.lively < 1.5


def test_words_are_in_the_true_conversion_and_in_a_copy_and_not_in_another_song() -> None:
    """At another key, too, and beside what the vocoder alone lets through."""
    listener, vocoder = PhoneGroupClassifier.load(), PulseNoise()
    score, other = (draw_score("ja", 6.0, seed, midi=57) for seed in (77, 78))
    song = sing(score, draw_voice(9, True))
    results = (song, sing(score.transposed(-5), VOICES["b"]), sing(other, VOICES["b"]))
    copy, right, wrong = (
        judge_phones(listener, AudioFeatures(song), AudioFeatures(result), vocoder) for result in results
    )
    assert copy.phones == 1
    assert right.phones > 0.65 > 0.3 > wrong.phones
    assert copy.phones_copied == right.phones_copied > 0.8
    assert wrong.phones < wrong.phones_chance + 0.15
    assert max(copy.phones_chance, right.phones_chance) < 0.35


def test_a_key_is_what_was_asked(own: dict[str, list[np.ndarray]]) -> None:
    score = draw_score("ko", 6.0, 77, midi=60)
    song, lower = sing(score, draw_voice(9, True)), sing(score.transposed(-7), VOICES["b"])
    assert score_against_source(AudioFeatures(song), AudioFeatures(lower), -7.0, "b", own).cents < 10
    assert score_against_source(AudioFeatures(song), AudioFeatures(lower), 0.0, "b", own).gpe50 > 0.9


def test_over_smoothing_is_under_one(own: dict[str, list[np.ndarray]]) -> None:
    score = draw_score("ko", 6.0, 78, midi=57)
    song = sing(score, draw_voice(9, True))
    mel = AudioFeatures(sing(score, VOICES["b"])).mel
    whole, smooth = (
        score_against_source(
            AudioFeatures(song),
            AudioFeatures(PulseNoise()(np.float32(part * mel + (1 - part) * mel.mean(0)), score.mel_f0())),
            0.0,
            "b",
            own,
        )
        for part in (1.0, 0.6)
    )
    assert smooth.lively < 0.85 * whole.lively
    assert smooth.lively < 0.75


def test_a_run_is_evaluated_on_any_song(run: Path, song: Path, tmp_path: Path) -> None:
    found = evaluate_songs(run, [song], tmp_path / "out", "bass", -12)
    metadata = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert metadata == found.metadata
    assert set(metadata["songs"]) == {song.name}
    assert metadata["songs"][song.name]["vuv_f1"] > 0.5
    assert 0.6 < metadata["songs"][song.name]["phones_copied"] <= 1
    assert 0 <= metadata["songs"][song.name]["phones"] <= 1
    assert (tmp_path / "out" / "evaluation.html").read_text("utf-8").count("<audio") == 2
    assert found.lines[0].startswith("| song |")
    assert "| phones | phones copied | phones by chance |" in found.lines[0]


def test_songs_that_cannot_be_used_are_named_and_the_rest_goes_on(run: Path, song: Path, tmp_path: Path) -> None:
    """Two of one name but for the suffix have a result each; `auto` finds the octave down to the lower voice."""
    (tmp_path / "no.wav").write_bytes(b"no sound")
    (tmp_path / song.with_suffix(".wav").name).write_bytes(song.read_bytes())
    songs = [song, tmp_path / "no.wav", tmp_path / song.with_suffix(".wav").name]
    found = evaluate_songs(run, songs, tmp_path / "out", "bass", "auto")
    assert list(found.refused) == [tmp_path / "no.wav"]
    assert set(found.metadata["songs"]) == {song.name, songs[2].name}
    assert len(list((tmp_path / "out").glob("*.bass.wav"))) == 2
    assert found.metadata["songs"][song.name]["key"] == -12
    with pytest.raises(UserError, match=r"no song can be used:\n.*no\.wav"):
        evaluate_songs(run, songs[1:2], tmp_path / "out", "bass")


def test_a_mixture_has_nobody_to_be_compared_with(run: Path, song: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="compared with one voice of the run"):
        evaluate_songs(run, [song], tmp_path, "alto:0.5,bass:0.5")


def test_singers_that_a_run_never_heard_are_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ParallelSingers, "voices", (draw_voice(1), draw_voice(2)))
    with pytest.raises(UserError, match="not trained on these singers"):
        evaluate_truth(run, ParallelSingers(), tmp_path)
