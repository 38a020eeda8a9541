"""Models that a user brings to listen: what is asked of them, and what is made of what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from svc.common.errors import UserError
from svc.pipeline import audio
from svc.pipeline.frames import MEL_RATE
from svc.pipeline.metrics.audio_features import AudioFeatures
from svc.stages.evaluation.asr_and_similarity import AsrAndSimilarity, recorded, words_of
from svc.store import open_store


class Recogniser:
    """Hears how many phrases there are, and how loud each is."""

    source = "a recogniser"

    def language(self, phrases: list[np.ndarray], rate: int) -> str:
        return "ko"

    def __call__(self, phrases: list[np.ndarray], rate: int, language: str) -> str:
        assert (rate, language) == (MEL_RATE, "ko")
        return " ".join("loud" if np.abs(phrase).max() > 0.3 else "soft" for phrase in phrases)


class Voices:
    """Takes who is louder for another direction."""

    source = "a speaker encoder"

    def __call__(self, phrases: list[np.ndarray], rate: int) -> np.ndarray:
        level = float(np.mean([np.abs(phrase).max() for phrase in phrases]))
        return np.array([np.cos(level), np.sin(level)])


@pytest.fixture
def models() -> AsrAndSimilarity:
    made = AsrAndSimilarity(None, None, None, [])
    made.transcriber = Recogniser()  # type: ignore[assignment]  # a stand-in
    made.speakers = Voices()  # type: ignore[assignment]  # a stand-in
    made.voice, made.own_similar = np.array([np.cos(0.2), np.sin(0.2)]), 0.9
    return made


def song(first: float, second: float) -> np.ndarray:
    """Two phrases of 1.5 s with 2 s of silence between."""
    tone = np.sin(2 * np.pi * 220 * np.arange(int(1.5 * MEL_RATE)) / MEL_RATE)
    silence = np.zeros(2 * MEL_RATE)
    return np.concatenate([first * tone, silence, second * tone]).astype(np.float32)


def test_words_are_those_of_the_song(models: AsrAndSimilarity, tmp_path: Path) -> None:
    heard = models(tmp_path / "song.wav", AudioFeatures(song(0.5, 0.5)), AudioFeatures(song(0.5, 0.2)))
    assert (heard.source_words, heard.words) == ("loud loud", "loud soft")
    assert heard.cer == pytest.approx(3 / 8)  # soft for loud: three of eight letters
    assert np.isnan(heard.source_cer)
    (tmp_path / "song.txt").write_text("loud, soft!", "utf-8")
    heard = models(tmp_path / "song.wav", AudioFeatures(song(0.5, 0.5)), AudioFeatures(song(0.5, 0.2)))
    assert heard.cer == 0
    assert heard.source_cer == pytest.approx(3 / 8)


def test_likeness_is_the_cosine_with_the_target(models: AsrAndSimilarity, tmp_path: Path) -> None:
    heard = models(tmp_path / "song.wav", AudioFeatures(song(0.8, 0.8)), AudioFeatures(song(0.2, 0.2)))
    assert heard.similar == pytest.approx(1.0, abs=1e-3)
    assert heard.source_similar == pytest.approx(np.cos(0.6), abs=1e-2)
    assert heard.own_similar == 0.9
    assert list(models.columns) == ["cer", "source_cer", "similar", "source_similar", "own_similar"]
    assert len(models.notes) == 2


def test_nobody_listens_unless_brought(tmp_path: Path) -> None:
    deaf = AsrAndSimilarity(None, None, None, [])
    assert deaf.columns == {}
    assert np.isnan(deaf(tmp_path / "song.wav", AudioFeatures(song(0.5, 0.5)), AudioFeatures(song(0.5, 0.5))).cer)


def test_a_target_is_known_by_its_recordings(store: Path, tmp_path: Path) -> None:
    clips = [clip for clip in open_store(store) if clip.speaker == "alto"]
    found = recorded(clips)
    first = next(clip for clip in clips if clip.seconds >= 1)
    path = audio.scan(Path(first.utterance.corpus, first.utterance.source))
    mono = audio.read(path, first.row.start, first.row.end)
    assert np.abs(found[0][: len(mono)] - mono[: len(found[0])]).max() < 1e-3
    with pytest.raises(UserError, match="none can be read"):
        recorded([])


def test_a_text_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match="expected the song's words in UTF-8"):
        words_of(tmp_path / "song.wav")
