"""Kokoro speech as a corpus for `mini`: the sentences, the pseudo-words and the mixed voices, without the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from svc.data.mini_training import speech


def test_sentences_leave_out_what_cannot_be_spoken(tmp_path: Path) -> None:
    good = "This is a sentence that can be spoken."
    (tmp_path / "en.txt").write_text(
        "\n".join([good, "Short.", "It has 3 digits, so it is left out.", "<b>markup</b> " * 4])
    )
    assert speech.sentences(tmp_path / "en.txt") == [good]
    assert speech.sentences(tmp_path / "ko.txt") == []


@pytest.mark.parametrize(("language", "first", "last"), [("ja", "\u3041", "\u3093"), ("ko", "\uac00", "\ud7a3")])
def test_pseudo_words_are_syllables_of_the_language(language: str, first: str, last: str) -> None:
    texts = [speech.drawn_text(language, np.random.default_rng(seed)) for seed in range(20)]
    assert all(4 <= len(text.split()) <= 10 for text in texts)
    assert len(set(texts)) == 20
    assert all(first <= letter <= last for text in texts for letter in text.replace(" ", ""))


def test_a_mixed_voice_sums_to_one_and_half_lean_on_the_man() -> None:
    kokoro = speech.Kokoro.__new__(speech.Kokoro)
    kokoro.voices = {speech.MALE: np.zeros(1), "a": np.zeros(1), "b": np.zeros(1)}
    mixes = [kokoro.weights(np.random.default_rng(seed)) for seed in range(200)]
    assert all(sum(mix.values()) == pytest.approx(1) and min(mix.values()) >= 0 for mix in mixes)
    assert 70 <= sum(mix[speech.MALE] > 0.6 for mix in mixes) <= 130
