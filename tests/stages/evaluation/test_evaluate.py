"""Evaluation of songs without a true result; that of parallel singers is in test_demo."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from svc.common.errors import UserError
from svc.data.singers import draw_score, draw_voice, sing
from svc.pipeline.metrics.audio_features import AudioFeatures
from svc.pipeline.metrics.phone_agreement import PhoneGroupClassifier
from svc.pipeline.vocoder.pulse_noise import PulseNoise
from svc.stages.evaluation.parallel import evaluate_truth
from svc.stages.evaluation.result import check_out
from svc.stages.evaluation.without_reference import evaluate_songs, score_against_source, score_phones
from svc.stages.page import Table
from svc.stages.parallel_singers import ParallelSingers

VOICES = {"a": draw_voice(1, True), "b": draw_voice(2, False)}


@pytest.fixture(scope="module")
def own() -> dict[str, list[np.ndarray]]:
    """Both voices' utterances as log mels."""
    scores = [draw_score("ko", 6.0, seed, midi=57) for seed in range(6)]
    return {name: [AudioFeatures(sing(score, voice)).mel for score in scores] for name, voice in VOICES.items()}


def test_the_true_conversion_and_a_copy_are_told_apart(own: dict[str, list[np.ndarray]]) -> None:
    """The true conversion of an unknown singer's song is classified as the target, a copy of the song as its singer."""
    score = draw_score("ko", 8.0, 77, midi=57)
    song, truth = sing(score, draw_voice(9, True)), sing(score, VOICES["b"])
    right, copy = (
        score_against_source(AudioFeatures(song), AudioFeatures(result), 0.0, "b", own) for result in (truth, song)
    )
    assert right.target_share > 0.9 > 0.1 > right.source_share
    assert copy.source_share > 0.8
    assert copy.target_share < 0.1
    assert copy.cents == 0
    assert right.cents < 10
    assert min(right.loudness, copy.loudness) > 0.85
    assert right.spectrum_db < 0.7 * copy.spectrum_db
    assert copy.spectrum_db == pytest.approx(copy.source_spectrum_db)
    assert 0.6 < right.variance_ratio < 1.5


def test_words_are_in_the_true_conversion_and_in_a_copy_and_not_in_another_song() -> None:
    """At another key, too, and beside what the vocoder alone lets through."""
    classifier, vocoder = PhoneGroupClassifier.load(), PulseNoise()
    score, other = (draw_score("ja", 6.0, seed, midi=57) for seed in (77, 78))
    song = sing(score, draw_voice(9, True))
    results = (song, sing(score.transposed(-5), VOICES["b"]), sing(other, VOICES["b"]))
    copy, right, wrong = (
        score_phones(classifier, AudioFeatures(song), AudioFeatures(result), vocoder) for result in results
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
            AudioFeatures(PulseNoise()((part * mel + (1 - part) * mel.mean(0)).astype(np.float32), score.mel_f0())),
            0.0,
            "b",
            own,
        )
        for part in (1.0, 0.6)
    )
    assert smooth.variance_ratio < 0.85 * whole.variance_ratio
    assert smooth.variance_ratio < 0.75


def test_a_run_is_evaluated_on_any_song(run: Path, song: Path, tmp_path: Path) -> None:
    found = evaluate_songs(run, [song], tmp_path / "out", "bass", -12)
    metadata = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert metadata == found.metadata
    assert set(metadata["songs"]) == {song.name}
    assert metadata["songs"][song.name]["vuv_f1"] > 0.5
    assert 0.6 < metadata["songs"][song.name]["phones_copied"] <= 1
    assert 0 <= metadata["songs"][song.name]["phones"] <= 1
    assert (tmp_path / "out" / "evaluation.html").read_text("utf-8").count("<audio") == 2
    assert [line for line in found.lines if line.startswith("| song |")] == [
        f"| song | {' | '.join(table.headings[1:])} |" for table in tables_of(tmp_path / "out")
    ]


def tables_of(folder: Path) -> list[Table]:
    """The tables of a page, read from its HTML."""
    page = (folder / "evaluation.html").read_text("utf-8")
    found = []
    for part in re.findall(r"<table>(.*?)</table>", page, flags=re.DOTALL):
        text = [re.sub("<.*?>", "", cell) for cell in re.findall(r"<th>(.*?)</th>", part)]
        found.append(Table("", [html.unescape(cell) for cell in text], []))
    return found


def test_the_page_explains_its_measures_and_says_what_was_evaluated(run: Path, song: Path, tmp_path: Path) -> None:
    evaluate_songs(run, [song], tmp_path / "out", "bass", -12)
    page = (tmp_path / "out" / "evaluation.html").read_text("utf-8")
    headings = {name for table in tables_of(tmp_path / "out") for name in table.headings} - {"song"}
    terms = {html.unescape(term) for term in re.findall(r"<dt>(.*?)</dt>", page.partition("What the measures mean")[2])}
    assert headings == terms
    for name in ("run", "step", "encoder", "vocoder"):
        assert f"<dt>{name}</dt>" in page
    assert "The melody is" in page
    assert "pip install &#x27;svc[ears]&#x27;" in page or "SECS" in page


def test_files_of_the_user_are_not_replaced(run: Path, song: Path, tmp_path: Path) -> None:
    (tmp_path / "evaluation.html").write_text("mine")
    with pytest.raises(UserError, match=r"holds an evaluation\.html that svc did not make"):
        evaluate_songs(run, [song], tmp_path)
    (tmp_path / "evaluation.html").unlink()
    (tmp_path / "evaluation.json").write_text("[1, 2]")
    with pytest.raises(UserError, match=r"holds an evaluation\.json that svc did not make"):
        evaluate_truth(run, ParallelSingers(), tmp_path)
    assert (tmp_path / "evaluation.json").read_text() == "[1, 2]"
    (tmp_path / "evaluation.json").write_text('{"svc": "0.1.0", "run": "x"}')  # of a version without a mark
    check_out(tmp_path)


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


def test_a_mixture_is_no_voice_to_compare_with(run: Path, song: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="compared with one voice of the run"):
        evaluate_songs(run, [song], tmp_path, "alto:0.5,bass:0.5")


def test_singers_that_a_run_was_not_trained_on_are_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ParallelSingers, "voices", (draw_voice(1), draw_voice(2)))
    with pytest.raises(UserError, match="not trained on these singers"):
        evaluate_truth(run, ParallelSingers(), tmp_path)
