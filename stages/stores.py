"""The store of a command, and messages for folders that are something else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from ..common.errors import UserError
from ..pipeline.audio import SUFFIXES
from ..store import StoreError
from ..store.layout import Layout
from ..store.ledger import read_description

LOOKED_AT = 10_000  # paths below a folder, at most, to find out whether it holds recordings


def store_beside(corpus: Path) -> str:
    """The default store of a corpus: `corpus.zarr` beside it, for folders with dots too."""
    path = corpus.absolute()
    return str(path.parent / f"{path.name}.zarr")


def only_store(folder: Path = Path()) -> str:
    """The one store in a folder, where `svc extract` writes it beside the corpus.

    Raises:
        UserError: there is none, or there are several.
    """
    found = sorted(path.name for path in folder.glob("*.zarr") if is_store(path))
    if not found:
        raise UserError(f"no store in {folder.absolute()}: svc extract CORPUS makes one", "or name it: --store STORE")
    if len(found) > 1:
        raise UserError(f"{folder.absolute()} has several stores: {', '.join(found)}", "choose one: --store STORE")
    return str(folder / found[0])


def is_store(path: Path) -> bool:
    """Whether a folder is a unit store."""
    return os.path.isdir(path / "ledger")  # False, where Path.is_dir raises, in a folder that may not be read


def check_store(location: str | Path) -> None:
    """Raises StoreError if a local path is a corpus, a recording or a run instead of a store."""
    if not is_store(Path(location)) and (kind := other_kind(location)):
        raise StoreError(f"{location} is {kind}, not a store")


def check_opens(location: str | Path) -> None:
    """Read a store's description alone, in milliseconds. Raises StoreError where there is no store to read."""
    check_store(location)
    read_description(Layout(location))


def check_corpora(corpora: Sequence[Path]) -> None:
    """Raises UserError if a store or a run was given instead of a corpus."""
    for path in corpora:
        if is_store(path):
            raise UserError(
                f"{path} is a store, which svc extract made, not a corpus",
                f"give the folder of recordings: svc extract CORPUS --store {path}",
            )
        if os.path.exists(path / "run.json"):
            raise UserError(f"{path} is a run, which svc train made, not a corpus", "give the folder of recordings")


def other_kind(location: str | Path) -> str:
    """A description of a local path that is no store, with what to do: `a folder of recordings (...)`, `a run (...)`,
    or ``.
    """
    path = Path(location)
    if os.path.exists(path / "run.json"):
        return "a run (svc render -m RUN, svc evaluate RUN and svc inspect RUN take runs)"
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return "a recording"
    if path.is_dir() and any(file.suffix.lower() in SUFFIXES for file in islice(path.rglob("*"), LOOKED_AT)):
        return f"a folder of recordings (make its store first: svc extract {path})"
    return ""
