"""Typed records from JSON: a dataclass is the schema, and errors name the place of a wrong value in the file.

`read_record(Config, json.loads(text))` builds a dataclass, and the dataclasses nested in it, from plain JSON values.
Every value is compared with the annotation of its field, so that a malformed file of unknown origin fails here, with
one message, and not later with a traceback.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from .errors import UserError
from .files import read_regular
from .text import is_utf8

T = TypeVar("T")

MAX_JSON_BYTES = 256 * 2**20  # a record of millions of utterance names; more is not a record


class RecordError(ValueError):
    """A value that does not fit its schema. The message begins with its place, such as `settings.steps`."""


def read_record(kind: type[T], value: object, place: str = "") -> T:
    """Build a dataclass of type `kind` from a JSON object.

    Fields may be str, bool, int, float, None, Any, Literal, unions of them, list, tuple[X, ...], dict[str, X], and
    dataclasses. A whole number is accepted where a float is expected; NaN and infinity are not. A field that is absent
    takes its default. The ValueErrors of `__post_init__` are reported with the record's place. A dataclass may have a
    class attribute RENAMED, from the names that its fields had in older files to those that they have now.

    Args:
        kind: the dataclass.
        value: what `json.loads` returned.
        place: dotted name of the value within the file, for messages.

    Raises:
        RecordError: a field is missing, unknown, of another type, or refused by `__post_init__`.
    """
    record: T = _read(kind, value, place)
    return record


def load_json(path: Path, most: int = MAX_JSON_BYTES) -> Any:
    """Read a JSON file that may be hostile.

    Raises:
        FileNotFoundError: it does not exist.
        UserError: it is not a regular file, larger than `most` bytes, or not JSON.
    """
    try:
        return json.loads(read_regular(path, most).decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{path} is damaged: expected JSON, found something else ({reason})") from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _read(kind: Any, value: object, place: str) -> Any:
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin is Literal:
        return _choice(get_args(kind), value, place)
    if origin in (Union, types.UnionType):
        return _union(get_args(kind), value, place)
    if origin in (list, tuple):
        if not isinstance(value, list | tuple):
            raise _wrong("a list", value, place)
        items = [_read(get_args(kind)[0], item, f"{place}[{number}]") for number, item in enumerate(value)]
        return origin(items)
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong("an object", value, place)
        return {name: _read(get_args(kind)[1], item, _join(place, name)) for name, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return _dataclass(typing.cast(type[Any], kind), value, place)
    return _scalar(kind, value, place)


def _dataclass(kind: type[Any], value: object, place: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong("an object", value, place)
    renamed = getattr(kind, "RENAMED", {})
    found = {str(renamed.get(name, name)): inner for name, inner in value.items()}
    hints = _hints(typing.cast(typing.Hashable, kind))
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    if unknown := sorted(found.keys() - fields.keys()):
        raise RecordError(f"{_join(place, unknown[0])} is not a known field; a newer svc may have written it")
    given = {}
    for name, field in fields.items():
        if name in found:
            given[name] = _read(hints[name], found[name], _join(place, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise RecordError(f"{_join(place, name)} is missing")
    try:
        return kind(**given)
    except RecordError:
        raise
    except (ValueError, TypeError) as error:
        raise RecordError(f"{place}: {error}" if place else str(error)) from error


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields: found once, since a record may hold thousands of another."""
    return typing.get_type_hints(kind)


def _union(kinds: tuple[Any, ...], value: object, place: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    errors = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return _read(kind, value, place)
            except RecordError as error:
                errors.append(error)
    raise errors[0]


def _choice(known: tuple[Any, ...], value: object, place: str) -> Any:
    if not any(type(value) is type(one) and value == one for one in known):
        raise _wrong(" or ".join(map(repr, known)), value, place)
    return value


def _scalar(kind: Any, value: object, place: str) -> Any:
    if kind is float and type(value) in (int, float):
        number = math.inf
        with contextlib.suppress(OverflowError):
            number = float(typing.cast(float, value))
        if math.isfinite(number):
            return number
        raise _wrong("a finite number", value, place)
    if type(value) is not kind:
        raise _wrong(_NAMES.get(kind, repr(kind)), value, place)
    if isinstance(value, str) and not is_utf8(value):
        raise _wrong("text that can be written as UTF-8", ascii(value), place)
    return value


_NAMES = {str: "text", bool: "true or false", int: "a whole number", float: "a number", type(None): "null"}


def _wrong(expected: str, found: object, place: str) -> RecordError:
    shown = repr(found)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return RecordError(f"{place or 'it'}: expected {expected}, found {shown}")


def _join(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)
