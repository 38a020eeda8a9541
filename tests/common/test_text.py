"""Numbers with nouns, and names that are printed."""

from __future__ import annotations

import json

import pytest
from svc.common.text import count, json_text, listed, number_or, printable


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "speaker", "0 speakers"),
        (1, "speaker", "1 speaker"),
        (2, "speaker", "2 speakers"),
        (1200, "step", "1,200 steps"),
        (0.6, "file", "1 file"),
        (3, "entry", "3 entries"),
        (3, "key", "3 keys"),
        (2, "pass", "2 passes"),
        (6, "s", "6 s"),
        (2, "GiB", "2 GiB"),
    ],
)
def test_a_number_and_its_noun_agree(number: float, noun: str, said: str) -> None:
    assert count(number, noun) == said


def test_an_irregular_plural_is_given() -> None:
    assert count(2, "index", "indices") == "2 indices"


def test_words_are_listed() -> None:
    assert [listed(list(words)) for words in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


def test_control_characters_are_escaped_and_any_script_is_left() -> None:
    said = printable("노래\x1b[31m\x9b2J\u202eevil\x7f é\ud800", "utf-8")
    assert said == "노래\\x1b[31m\\x9b2J\\u202eevil\\x7f é?"
    assert printable("노래 a", "ascii") == "?? a"
    assert printable("one\ntwo\tthree", "utf-8") == "one\ntwo\tthree"


def test_json_has_no_control_characters_and_is_the_same_value() -> None:
    value = {"name\x9b": "노래\x1b]0;title\x07\x85\u2028\u202e", "lone": "\ud800"}
    text = json_text(value, "utf-8")
    assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in text)
    assert "노래" in text
    assert json.loads(text) == value
    assert json.loads(json_text(value, "ascii")) == value
    assert json_text(value, "ascii").isascii()


def test_a_number_or_a_word_is_read_in_any_case_and_nothing_else_is() -> None:
    assert [number_or(text, ("song",), "x") for text in (" Song", "-3", "1e2")] == ["song", -3.0, 100.0]
    for text in ("songs", "", "nan", "inf"):
        with pytest.raises(ValueError, match=r"^key '.*': expected a number or song$"):
            number_or(text, ("song",), "a number or song", "key ")
