"""How two records of settings differ, for a message."""

from __future__ import annotations

from typing import Any

from .canonical_json import canonical

_NOTHING = "nothing"  # where a setting is absent on one side


def differences(one: dict[str, Any], other: dict[str, Any], here: str, there: str) -> str:
    """A line for each setting that differs, such as `  method: harvest in the store, dio asked for`; empty if none."""
    return "\n".join(f"  {name}: {_show(a)} {here}, {_show(b)} {there}" for name, a, b in _changes(one, other))


def _changes(stored: dict[str, Any], asked: dict[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    """(dotted name, stored value, asked value) of every setting that differs."""
    found: list[tuple[str, Any, Any]] = []
    for key in sorted(stored.keys() | asked.keys()):
        old, new = stored.get(key, _NOTHING), asked.get(key, _NOTHING)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _changes(old, new, f"{prefix}{key}.")
        elif _NOTHING in (old, new) or canonical(old) != canonical(new):
            found.append((prefix + key, old, new))
    return found


def _show(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:12] + "..."
