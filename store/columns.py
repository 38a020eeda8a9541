"""The descriptions of a store's columns."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..common.differences import differences
from .checksummed_json import check_checksum, write_checksummed
from .errors import DamagedError, SettingsError
from .layout import Layout
from .schema import Column


def write_column(layout: Layout, column: Column) -> None:
    """Write a column's description, with a checksum."""
    write_checksummed(layout.folder, layout.column(column.name), asdict(column))


def read_columns(layout: Layout) -> dict[str, Column]:
    """All columns by name."""
    names = [name for name in layout.folder.files(layout.columns) if name.endswith(".json")]
    read = layout.folder.read_all(names)
    return {column.name: column for column in (_column(layout, name, data) for name, data in read.items())}


def read_column(layout: Layout, name: str) -> Column:
    """The column that a file describes. Raises DamagedError if it describes none, or another one."""
    return _column(layout, name, layout.folder.read(name))


def _column(layout: Layout, name: str, data: bytes) -> Column:
    where = layout.folder.where(name)
    try:
        column = Column(**check_checksum(data, where))
    except DamagedError:
        raise
    except (TypeError, ValueError) as error:
        raise DamagedError(f"{where} is no column that this version understands") from error
    if name != layout.column(column.name):
        raise DamagedError(f"{where} describes another column, {column.name}")
    return column


def check_same(what: str, stored: dict[str, Any], asked: dict[str, Any], remedy: str) -> None:
    """Raises SettingsError, naming every setting that differs, unless the two are the same."""
    if changed := differences(stored, asked, "in the store", "asked for"):
        raise SettingsError(f"{what} was made with other settings:\n{changed}\n{remedy}")
