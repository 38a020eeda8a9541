"""The columns of a store: what each is and what made it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .errors import DamagedError, SettingsError
from .files import canonical, unseal
from .layout import Layout
from .schema import Column
from .sealed import write_sealed


def write_column(layout: Layout, column: Column) -> None:
    write_sealed(layout.folder, layout.column(column.name), asdict(column))


def read_columns(layout: Layout) -> dict[str, Column]:
    """All columns by name."""
    names = [name for name in layout.folder.files(layout.columns) if name.endswith(".json")]
    read = layout.folder.read_all(names)
    return {column.name: column for column in (_column(layout, name, data) for name, data in read.items())}


def read_column(layout: Layout, name: str) -> Column:
    """The column that a file describes. Raises DamagedError when it is none, or another."""
    return _column(layout, name, layout.folder.read(name))


def _column(layout: Layout, name: str, data: bytes) -> Column:
    where = layout.folder.where(name)
    try:
        column = Column(**unseal(data, where))
    except DamagedError:
        raise
    except (TypeError, ValueError) as error:
        raise DamagedError(f"{where} is no column that this version understands") from error
    if name != layout.column(column.name):
        raise DamagedError(f"{where} calls itself column {column.name}")
    return column


_NOTHING = "nothing"  # where a setting is absent on one side


def check_same(what: str, stored: dict[str, Any], asked: dict[str, Any], remedy: str) -> None:
    """Raises SettingsError, naming every setting that differs, unless the two are the same."""
    if changed := differences(stored, asked, "in the store", "asked for"):
        raise SettingsError(f"{what} was made with other settings:\n{changed}\n{remedy}")


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
