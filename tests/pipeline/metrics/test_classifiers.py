"""Classifiers of phones and speakers, on singers whose phones and names are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from svc.data.singers import Score, Voice, draw_score, draw_voice, sing
from svc.pipeline.mel import log_mel
from svc.pipeline.metrics.classifiers import PhoneClassifier, SpeakerClassifier

VOICES = {"a": draw_voice(1, True), "b": draw_voice(2, False)}


def sung(score: Score, voice: Voice) -> np.ndarray:
    return log_mel(torch.from_numpy(sing(score, voice))).numpy()


@pytest.fixture(scope="module")
def lessons() -> dict[str, list[Any]]:
    scores = [draw_score("ja", 10.0, seed, midi=57) for seed in range(4)]
    return {name: [(sung(score, voice), score.mel_labels()) for score in scores] for name, voice in VOICES.items()}


def test_phones_are_predicted_and_their_absence_is_seen(lessons: dict[str, list[Any]]) -> None:
    pairs = [pair for name in lessons for pair in lessons[name]]
    classifier = PhoneClassifier([mel for mel, _ in pairs], [labels for _, labels in pairs])
    score = draw_score("ja", 6.0, 99, midi=57)
    mel, labels = sung(score, VOICES["b"]), score.mel_labels()
    assert classifier.accuracy(mel, labels) > 0.7
    # Where there are no words, it is no better than always predicting one phone.
    commonest = np.bincount(labels[labels > 0]).max() / np.sum(labels > 0)
    assert classifier.accuracy(np.tile(mel.mean(0), (len(mel), 1)), labels) <= commonest < 0.4
    assert classifier.accuracy(mel, np.roll(labels, len(labels) // 2)) < 0.3


def test_speakers_are_told_apart(lessons: dict[str, list[Any]]) -> None:
    classifier = SpeakerClassifier({name: [mel for mel, _ in pairs] for name, pairs in lessons.items()})
    score = draw_score("ja", 6.0, 99, midi=57)
    for name, voice in VOICES.items():
        assert classifier.shares(sung(score, voice))[name] > 0.95
    assert classifier.shares(np.zeros((0, 128), np.float32)) == {"a": 0.0, "b": 0.0}
