"""The columns of a store: what each is and what made it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .errors import DamagedError, SettingsError
from .files import canonical, read_sealed, write_sealed
from .layout import Layout
from .schema import Column


def write_column(layout: Layout, column: Column) -> None:
    write_sealed(layout.column(column.name), asdict(column))


def read_columns(layout: Layout) -> dict[str, Column]:
    """All columns by name."""
    columns = {}
    for path in sorted(layout.columns.rglob("*.json")):
        try:
            column = Column(**read_sealed(path))
        except (TypeError, ValueError) as error:
            raise DamagedError(f"{path} is no column that this version understands") from error
        if path != layout.column(column.name):
            raise DamagedError(f"{path} calls itself column {column.name}")
        columns[column.name] = column
    return columns


_NOTHING = "nothing"  # where a setting is absent on one side


def check_same(what: str, stored: dict[str, Any], asked: dict[str, Any], remedy: str) -> None:
    """Raises SettingsError, naming every setting that differs, unless the two are the same."""
    if canonical(stored) == canonical(asked):
        return
    lines = [
        f"  {name}: {_show(old)} in the store, {_show(new)} asked for" for name, old, new in differences(stored, asked)
    ]
    raise SettingsError("\n".join([f"{what} was made with other settings:", *lines, remedy]))


def differences(stored: dict[str, Any], asked: dict[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    """(dotted name, stored value, asked value) of every setting that differs."""
    found: list[tuple[str, Any, Any]] = []
    for key in sorted(stored.keys() | asked.keys()):
        old, new = stored.get(key, _NOTHING), asked.get(key, _NOTHING)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{key}.")
        elif _NOTHING in (old, new) or canonical(old) != canonical(new):
            found.append((prefix + key, old, new))
    return found


def _show(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:12] + "..."
