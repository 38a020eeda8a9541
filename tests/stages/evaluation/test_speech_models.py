"""Models of speech: their calls, and the scores from their results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from svc.common.errors import UserError
from svc.pipeline import audio
from svc.pipeline.frames import MEL_RATE
from svc.pipeline.metrics import ge2e, naturalness
from svc.pipeline.metrics.audio_features import AudioFeatures
from svc.stages.evaluation.speech_models import SpeechModels, TargetVoice, phrases, recorded, words_of
from svc.store import open_store


class Recogniser:
    """Transcribes each phrase as `loud` or `soft`."""

    source, name = "models/recogniser", "recogniser"
    multilingual = True

    def language(self, phrases: list[np.ndarray], rate: int) -> str:
        return "ko"

    def __call__(self, phrases: list[np.ndarray], rate: int, language: str) -> str:
        assert (rate, language) == (MEL_RATE, "ko")
        return " ".join("loud" if np.abs(phrase).max() > 0.3 else "soft" for phrase in phrases)


class Voices:
    """Embeds a recording as a direction that depends on its peak."""

    source = "a speaker encoder"

    def embed(self, wav: np.ndarray, rate: int) -> np.ndarray:
        level = float(np.abs(wav).max())
        return np.array([np.cos(level), np.sin(level)])


class Quality:
    source = "a quality"

    def overall(self, wav: np.ndarray, rate: int) -> float:
        return float(np.abs(wav).max())


@pytest.fixture
def models() -> SpeechModels:
    target = TargetVoice(np.array([np.cos(0.2), np.sin(0.2)]), 0.9)
    return SpeechModels([Recogniser()], Voices(), target, Quality())  # type: ignore[list-item, arg-type]  # stand-ins


def tone(peak: float, seconds: float) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * 220 * np.arange(int(seconds * MEL_RATE)) / MEL_RATE)).astype(np.float32)


def song(first: float, second: float) -> np.ndarray:
    """Two phrases of 20 s with 2 s of silence between: too long for one window of a recogniser."""
    return np.concatenate([tone(first, 20), np.zeros(2 * MEL_RATE, np.float32), tone(second, 20)])


def test_a_short_song_is_one_phrase_and_a_long_one_is_cut_in_its_silences() -> None:
    short = np.concatenate([tone(0.5, 2), np.zeros(2 * MEL_RATE, np.float32), tone(0.5, 2)])
    assert phrases(AudioFeatures(short)) == [slice(0, len(short))]
    first, second = phrases(AudioFeatures(song(0.5, 0.5)))
    assert first.stop <= 21 * MEL_RATE < second.start
    assert all(each.stop - each.start <= 30 * MEL_RATE for each in (first, second))


def test_words_are_compared_with_those_of_the_song(models: SpeechModels, tmp_path: Path) -> None:
    before, after = AudioFeatures(song(0.5, 0.5)), AudioFeatures(song(0.5, 0.2))
    (word,) = models.score(before, after).words
    assert (word.model, word.language) == ("recogniser", "ko")
    assert (word.source_text, word.text) == ("loud loud", "loud soft")
    assert word.cer == pytest.approx(3 / 8)  # soft for loud: three of eight letters
    assert word.letters_right == pytest.approx(62.5)
    assert np.isnan(word.source_cer)
    (tmp_path / "song.txt").write_text("loud, soft!", "utf-8")
    (word,) = models.score(before, after, words_of(tmp_path / "song.wav")).words
    assert word.cer == 0
    assert word.source_cer == pytest.approx(3 / 8)
    assert dataclasses.replace(word, cer=2.5).letters_right == 0
    assert np.isnan(dataclasses.replace(word, cer=float("nan")).letters_right)


def test_a_recogniser_of_english_does_not_count_other_languages(models: SpeechModels) -> None:
    models.transcribers[0].multilingual = False
    models.language = "ko"
    assert models.score(AudioFeatures(tone(0.5, 2)), AudioFeatures(tone(0.5, 2))).words == ()


def test_similarity_is_the_cosine_with_the_target_and_naturalness_is_of_both(models: SpeechModels) -> None:
    found = models.score(AudioFeatures(tone(0.8, 3)), AudioFeatures(tone(0.2, 3)))
    assert found.secs == pytest.approx(1.0, abs=1e-3)
    assert found.source_secs == pytest.approx(np.cos(0.6), abs=1e-2)
    assert found.own_secs == 0.9
    assert found.dnsmos == pytest.approx(0.2, abs=0.01)
    assert found.source_dnsmos == pytest.approx(0.8, abs=0.01)
    assert found.to_json()["secs"] == round(found.secs, 4)


def test_a_targets_recordings_are_each_compared_with_the_others() -> None:
    voice = TargetVoice.of(Voices(), [tone(0.1, 1), tone(0.1, 1), tone(0.7, 1)], MEL_RATE)
    angle = np.arctan2(np.sin(0.1) + np.sin(0.7), np.cos(0.1) + np.cos(0.7))  # of the mean of two that differ
    assert voice.own_secs == pytest.approx((2 * np.cos(angle - 0.1) + np.cos(0.6)) / 3, abs=1e-3)
    assert np.linalg.norm(voice.embedding) == pytest.approx(1)
    assert np.isnan(TargetVoice.of(Voices(), [tone(0.1, 1)], MEL_RATE).own_secs)


def test_what_is_missing_is_said_and_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ge2e, "packaged_weights", lambda: None)
    monkeypatch.setattr(naturalness, "packaged_model", lambda: None)
    none = SpeechModels.load()
    assert [note.split(" ")[0] for note in none.notes] == ["Words", "Similarity", "Naturalness"]
    assert all("--whisper" in note or "pip install" in note for note in none.notes)
    found = none.score(AudioFeatures(tone(0.5, 2)), AudioFeatures(tone(0.5, 2)))
    assert found.words == ()
    assert np.isnan([found.secs, found.dnsmos]).all()


def test_a_target_is_known_by_its_recordings(store: Path) -> None:
    clips = [clip for clip in open_store(store) if clip.speaker == "alto"]
    found = recorded(clips)
    first = next(clip for clip in clips if clip.seconds >= 1)
    path = audio.scan(Path(first.utterance.corpus, first.utterance.source))
    mono = audio.read(path, first.row.start, first.row.end)
    assert np.abs(found[0][: len(mono)] - mono[: len(found[0])]).max() < 1e-3
    with pytest.raises(UserError, match="none can be read"):
        recorded([])


def test_words_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match="expected the song's words in UTF-8"):
        words_of(tmp_path / "song.wav")
