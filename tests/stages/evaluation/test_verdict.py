"""Figures in words."""

from __future__ import annotations

from svc.stages.evaluation.glossary import GLOSSARY, glossary
from svc.stages.evaluation.scores import HEADINGS
from svc.stages.evaluation.song_results import TABLES
from svc.stages.evaluation.speech_scores import SpeechScores, WordScore
from svc.stages.evaluation.verdict import gate_verdicts, song_verdict

FIGURES = {
    "in_tune": 0.96, "phones": 0.55, "phones_copied": 0.8, "phones_chance": 0.3,
    "target_share": 0.97, "source_share": 0.01,
}  # fmt: skip
NAN = float("nan")


def test_gates_in_words() -> None:
    assert gate_verdicts({"G1": [], "G2": ["GV is 0.8, not 0.85 to 1.15", "phones is 0.7, not at least 0.8"]}) == [
        "It converts (G1 passed).",
        "It is not better than every baseline without training (G2 not passed): GV is 0.8, not 0.85 to 1.15 and "
        "phones is 0.7, not at least 0.8.",
    ]


def test_a_conversion_in_words() -> None:
    word = WordScore("whisper-base", 0.134, NAN, "", "", "en")
    said = song_verdict(FIGURES, SpeechScores((word,), 0.75, 0.5, 0.95, 2.9, 3.2), "anna")
    assert said == [
        "The melody is kept: 96% of the sung moments are in tune, within 50 cents.",
        "About 87 of 100 letters are transcribed correctly by whisper-base.",
        "Voice: 97% of it is taken for anna, 1% for the song's own singer; similarity to anna is 0.75, where the song "
        "itself has 0.50 and anna's own recordings have 0.95.",
        "Naturalness is 2.9 of 5, where the song itself has 3.2.",
    ]


def test_without_models_of_speech_phones_stand_for_words() -> None:
    said = song_verdict({**FIGURES, "in_tune": 0.3}, SpeechScores(), "anna")
    assert said[0].startswith("The melody is often lost: 30%")
    assert said[1].startswith("About 50 of 100 phones that the vocoder alone keeps are kept")
    assert len(said) == 3
    assert "too short" in song_verdict({**FIGURES, "phones": NAN}, SpeechScores(), "anna")[1]
    assert song_verdict({**FIGURES, "in_tune": NAN}, SpeechScores(), "anna")[0] == "Melody: nothing in it is voiced."


def test_the_glossary_has_every_measure() -> None:
    shown = {*HEADINGS.values(), *(heading for columns in TABLES.values() for heading in columns.values())}
    assert shown - GLOSSARY.keys() == set()
    assert {"G1", "G2", "CER", "letters right", "key"} <= GLOSSARY.keys()
    assert all(meaning.endswith(".") for meaning in GLOSSARY.values())
    assert list(glossary(["CR", "CER (whisper-base)", "song"])) == ["CR", "CER"]
