"""JSON into dataclasses: valid JSON becomes a record, an invalid value is named by its place."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from svc.common.errors import UserError
from svc.common.records import RecordError, load_json, read_record


@dataclass(frozen=True)
class Inner:
    size: int
    kind: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size must be at least 0, not {self.size}")


@dataclass(frozen=True)
class Outer:
    name: str
    rate: float
    inner: Inner
    items: tuple[Inner, ...] = ()
    maybe: float | None = None
    flags: dict[str, bool] = field(default_factory=dict)
    anything: Any = None


GOOD = {"name": "n", "rate": 1, "inner": {"size": 3}}


def test_plain_json_becomes_a_record() -> None:
    given = {**GOOD, "items": [{"size": 1, "kind": "b"}], "maybe": 2.5, "flags": {"x": True}, "anything": [1, {}]}
    expected = Outer("n", 1.0, Inner(3), (Inner(1, "b"),), 2.5, {"x": True}, [1, {}])
    assert read_record(Outer, json.loads(json.dumps(given))) == expected
    assert type(read_record(Outer, GOOD).rate) is float
    assert read_record(Outer, {**GOOD, "maybe": None}).maybe is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": 3}, "name: expected text, found 3"),
        ({"rate": "fast"}, "rate: expected a number, found 'fast'"),
        ({"rate": True}, "rate: expected a number, found True"),
        ({"rate": 10**400}, "rate: expected a finite number"),
        ({"inner": []}, "inner: expected an object"),
        ({"inner": {"size": True}}, "inner.size: expected a whole number, found True"),
        ({"inner": {"size": 1.0}}, "inner.size: expected a whole number"),
        ({"inner": {"size": -1}}, "inner: size must be at least 0, not -1"),
        ({"inner": {"size": 1, "kind": "c"}}, "inner.kind: expected 'a' or 'b', found 'c'"),
        ({"inner": {}}, "inner.size is missing"),
        ({"inner": {"size": 1, "more": 2}}, "inner.more is not a known field"),
        ({"items": {"size": 1}}, "items: expected a list"),
        ({"items": [{"size": 1}, 5]}, r"items\[1\]: expected an object, found 5"),
        ({"maybe": "x"}, "maybe: expected a number"),
        ({"flags": {"x": 1}}, "flags.x: expected true or false"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place(change: dict[str, object], why: str) -> None:
    with pytest.raises(RecordError, match=f"^{why}"):
        read_record(Outer, {**GOOD, **change})


def test_fields_that_were_renamed_are_read() -> None:
    @dataclass(frozen=True)
    class Renamed:
        RENAMED: ClassVar[dict[str, str]] = {"depth": "shallow_depth"}
        shallow_depth: float = 0.0

    assert read_record(Renamed, {"depth": 0.5}) == read_record(Renamed, {"shallow_depth": 0.5}) == Renamed(0.5)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "expected JSON"),
        (b"\xff\xfe", "expected JSON"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 10_000, "expected JSON"),
    ],
)
def test_a_file_that_is_not_json(tmp_path: Path, text: bytes, why: str) -> None:
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(UserError, match=f"x.json is damaged(.|\n)*{why}"):
        load_json(tmp_path / "x.json")


def test_a_file_that_is_not_a_file(tmp_path: Path) -> None:
    """Reading a pipe does not block, and a file of a terabyte is not read."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 2**40)
    (tmp_path / "folder").mkdir()
    for name, why in (("pipe", "is not a regular file"), ("folder", "is not a regular file"), ("huge", "at most")):
        with pytest.raises(UserError, match=why):
            load_json(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_json(tmp_path / "nothing")
