"""The stores that a run was trained on: how their locations are recorded in run.json, and when they are opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..common.errors import UserError
from ..store import Store, StoreError, open_store
from .run import Run


def is_address(location: str) -> bool:
    """Whether a store's location is a URL rather than a path of this machine."""
    return "://" in location


def to_record(location: str | Path, run: Path) -> str:
    """A store's or a run's location as the run.json in folder `run` has it.

    A path is relative to that folder, where the two share more than the root; a URL stays as it is.
    """
    if is_address(str(location)):
        return str(location)
    store, folder = os.path.abspath(location), os.path.realpath(run)
    try:
        together = os.path.commonpath([store, folder])
    except ValueError:  # on different drives
        return store
    return store if together == os.path.dirname(together) else os.path.relpath(store, folder)


def recorded_locations(run: Run) -> list[str]:
    """Where a run's stores are, as run.json says."""
    return [location if is_address(location) else str(run.beside(location)) for location in run.config.stores]


def open_stores(run: Run, named: Sequence[str] = ()) -> list[Store]:
    """The stores that the user named, else those that the run recorded.

    A recorded URL is not opened: the run may be somebody else's, and only an address from the user is requested.

    Raises UserError when one cannot be opened, or none is known.
    """
    locations = list(named) or recorded_locations(run)
    if not locations:
        raise UserError(f"{run.source} does not say which store it was trained on", "Name it: --store STORE")
    opened = []
    for location in locations:
        if not named and is_address(location):
            raise UserError(
                f"{run.source} was trained on {location}, and an address that comes from a run is not requested",
                f"If you trust it, name it: --store {location}",
            )
        try:
            opened.append(open_store(location))
        except StoreError as error:
            raise UserError(
                f"{run.source} needs the store that it was trained on, and that cannot be opened: {error}",
                "Put it back, or say where it is now: --store STORE",
            ) from error
    return opened
