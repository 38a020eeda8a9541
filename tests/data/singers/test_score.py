"""Scores: phones that a language allows, at the given times and pitches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from svc.data.singers import NAMES, PHONES, SILENCE, SONGS, Note, compose, draw_score, song
from svc.data.singers.languages import KO_CODAS, LANGUAGES, Syllable, draw, parse


def syllables(language: str, count: int = 2000) -> list[Syllable]:
    return draw(language, count, np.random.default_rng(0))


def test_a_syllable_is_read_from_its_phones() -> None:
    assert parse("s t ɑ ɹ") == Syllable(("s", "t"), "ɑ", ("ɹ",))
    with pytest.raises(ValueError, match="one vowel"):
        parse("s t")
    with pytest.raises(ValueError, match="no phone 'q'"):
        parse("q ɑ")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phone_of_a_language_is_drawn_and_known(language: str) -> None:
    drawn = {name for syllable in syllables(language) for name in syllable.phones}
    assert drawn <= set(NAMES)
    assert len(drawn) > 20


def test_korean_ends_syllables_in_seven_ways_and_voices_between_vowels() -> None:
    drawn = syllables("ko")
    assert {syllable.coda for syllable in drawn} == {(), *((coda,) for coda in KO_CODAS)}
    for before, syllable in pairwise(drawn):
        lenis = syllable.onset[:1] in (("k",), ("t",), ("p",), ("tɕ",))
        assert not (lenis and PHONES[before.phones[-1]].voice > 0), (before, syllable)
    assert not [s for s in drawn if s.onset == ("s",) and s.vowel == "i"]


def test_japanese_has_moras() -> None:
    drawn = syllables("ja")
    assert {syllable.coda for syllable in drawn} == {(), ("n",)}
    never = {("s", "i"), ("t", "i"), ("t", "ɯ"), ("h", "ɯ"), ("h", "i"), ("w", "i"), ("j", "i"), ("j", "e"), ("z", "i")}
    assert not never & {(s.onset[-1], s.vowel) for s in drawn if s.onset}


def test_english_does_not_begin_with_what_english_does_not_begin_with() -> None:
    starts = {syllable.onset for syllable in syllables("en")}
    assert ("ŋ",) not in starts
    assert all(first == "s" or second in "lɹwj" for first, second, *_ in (s for s in starts if len(s) > 1))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("pace", [0.15, 0.4])
def test_phones_follow_each_other_without_gaps(language: str, pace: float) -> None:
    score = draw_score(language, 6.0, 3, pace=pace)
    assert len(score.bounds) == len(score.phones) + 1
    assert score.bounds[0] == 0
    assert (np.diff(score.bounds) > 0.004).all()
    assert score.bounds[-1] == pytest.approx(score.samples / 44_100)
    assert score.phones[0] == score.phones[-1] == SILENCE


def test_a_vowel_begins_on_the_beat_and_its_onset_before() -> None:
    score = compose([Note(None, 0.5), Note(60, 1.0, parse("s a")), Note(62, 1.0, parse("m i n"))], 0)
    starts = dict(zip(score.phones, score.bounds[:-1], strict=True))
    assert starts["a"] == pytest.approx(0.5)
    assert starts["s"] == pytest.approx(0.5 - PHONES["s"].seconds)
    assert starts["i"] == pytest.approx(1.5)
    assert starts["m"] == pytest.approx(1.5 - PHONES["m"].seconds)


def test_notes_have_the_pitch_that_is_written_and_overshoot_on_the_way() -> None:
    score = compose([Note(60, 1.5, parse("a")), Note(67, 1.5, parse("a"))], 0, vibrato=False)
    semitones = 69 + 12 * np.log2(score.f0 / 440)
    half = len(semitones) // 2
    assert np.median(semitones[half // 4 : half]) == pytest.approx(60, abs=0.15)
    assert np.median(semitones[-half // 2 :]) == pytest.approx(67, abs=0.15)
    # Damped by 0.6, a step of 7 overshoots by exp(-0.6 pi / sqrt(1 - 0.36)) = 9.5 %.
    assert semitones.max() - 67 == pytest.approx(7 * 0.095, abs=0.25)


def test_vibrato_is_there_when_asked_for() -> None:
    still, alive = (compose([Note(60, 2.0, parse("a"))], 1, vibrato=on) for on in (False, True))
    late = slice(len(still.f0) // 2, None)
    assert np.std(1200 * np.log2(alive.f0[late] / still.f0[late])) > 8


def test_labels_are_the_phones_at_frame_centres() -> None:
    score = draw_score("ja", 4.0, 1)
    at = (np.arange(score.mel_frames) + 0.5) * 512 / 44_100
    for label, second in zip(score.mel_labels(), at, strict=True):
        place = np.flatnonzero(score.bounds <= second)[-1]
        assert NAMES[label] == score.phones[min(place, len(score.phones) - 1)]
    assert len(score.unit_labels(50)) == 50


def test_transposing_moves_f0_and_nothing_else() -> None:
    score = draw_score("ko", 3.0, 1)
    higher = score.transposed(12)
    np.testing.assert_allclose(higher.f0, 2 * score.f0)
    assert higher.phones == score.phones
    assert higher.bounds is score.bounds


@pytest.mark.parametrize("name", SONGS)
def test_songs_are_sung_within_an_octave_and_a_half(name: str) -> None:
    score = song(name, 55)
    f0 = score.mel_f0()
    semitones = 69 + 12 * np.log2(f0[f0 > 0] / 440)
    assert 50 < semitones.min() < semitones.max() < 72
    assert (np.diff(score.bounds) > 0.004).all()
    assert 8 < score.samples / 44_100 < 25
