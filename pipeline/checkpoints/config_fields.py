"""The fields of a model's `config.json`, each with its type and bounds.

A config.json from elsewhere decides how much memory and time it takes to build a network. Only the fields named here
are read, and a value beyond its bounds is refused before anything is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], str]  # what is wrong with a value, or ""
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu", "swish", "mish", "tanh")


def whole(low: int, high: int) -> Check:
    """An integer within [low, high]."""

    def check(value: Any) -> str:
        return "" if type(value) is int and low <= value <= high else f"a whole number from {low} to {high}"

    return check


def whole_or_none(low: int, high: int) -> Check:
    """An integer within [low, high], or null."""

    def check(value: Any) -> str:
        return "" if value is None or not whole(low, high)(value) else f"null or a whole number from {low} to {high}"

    return check


def wholes(low: int, high: int, most: int = 32) -> Check:
    """A list of 1 to `most` integers within [low, high]."""

    def check(value: Any) -> str:
        good = isinstance(value, list | tuple) and 1 <= len(value) <= most and not any(map(whole(low, high), value))
        return "" if good else f"a list of 1 to {most} whole numbers from {low} to {high}"

    return check


def number(low: float, high: float) -> Check:
    """A number within [low, high]."""

    def check(value: Any) -> str:
        return "" if type(value) in (int, float) and low <= value <= high else f"a number from {low} to {high}"

    return check


def flag(value: Any) -> str:
    """true or false."""
    return "" if type(value) is bool else "true or false"


def choice(*values: str) -> Check:
    """One of these texts."""

    def check(value: Any) -> str:
        return "" if isinstance(value, str) and value in values else f"one of {', '.join(values)}"

    return check


activation = choice(*ACTIVATIONS)


def read_fields(config: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    """The fields of `config` that `checks` names, as they are; a field that is missing is left out.

    Raises:
        ValueError: a value is not what its check expects. The message names the field, what was found and expected.
    """
    found = {name: config[name] for name in checks if name in config}
    for name, value in found.items():
        if expected := checks[name](value):
            raise ValueError(f"config.json: {name} is {str(value)[:60]!r}; expected {expected}")
    return found
