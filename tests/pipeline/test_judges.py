"""Judges on singers whose phones and names are known."""

from __future__ import annotations

import numpy as np
import pytest
from svc.pipeline.judges import PhoneJudge, SpeakerJudge
from svc.pipeline.singers import draw_score, draw_voice, sing

VOICES = {"a": draw_voice(1, True), "b": draw_voice(2, False)}


@pytest.fixture(scope="module")
def lessons() -> dict[str, list]:
    scores = [draw_score("ja", 10.0, seed, midi=57) for seed in range(4)]
    return {name: [(sing(score, voice), score.mel_labels()) for score in scores] for name, voice in VOICES.items()}


def test_the_phone_judge_knows_phones_and_is_not_fooled_by_their_absence(lessons: dict[str, list]) -> None:
    pairs = [pair for name in lessons for pair in lessons[name]]
    judge = PhoneJudge([wav for wav, _ in pairs], [labels for _, labels in pairs])
    score = draw_score("ja", 6.0, 99, midi=57)
    wav, labels = sing(score, VOICES["b"]), score.mel_labels()
    assert judge.accuracy(wav, labels) > 0.7
    wordless = np.random.default_rng(0).normal(0, 0.05, len(wav)).astype(np.float32)
    assert judge.accuracy(wordless, labels) < 0.2
    assert judge.accuracy(wav, np.roll(labels, len(labels) // 2)) < 0.3


def test_the_speaker_judge_knows_who_sings(lessons: dict[str, list]) -> None:
    judge = SpeakerJudge({name: [wav for wav, _ in pairs] for name, pairs in lessons.items()})
    score = draw_score("ja", 6.0, 99, midi=57)
    for name, voice in VOICES.items():
        assert judge.shares(sing(score, voice))[name] > 0.95
    assert judge.shares(np.zeros(1024, np.float32)) == {"a": 0.0, "b": 0.0}
