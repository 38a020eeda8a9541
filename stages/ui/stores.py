"""The stores in a home folder."""

from __future__ import annotations

from ...common.errors import UserError
from ...store import StoreError, open_store
from .home import Home
from .schemas import StoreInfo


def list_stores(home: Home) -> list[StoreInfo]:
    """The stores that can be opened, with their content."""
    found = []
    for id, path in home.found_stores().items():
        try:
            store = open_store(path)
            clips = list(store)
        except (StoreError, UserError, OSError):
            continue
        found.append(
            StoreInfo(
                id=id,
                name=path.name,
                utterances=len(clips),
                seconds=round(sum(clip.seconds for clip in clips), 1),
                speakers=sorted({clip.speaker for clip in clips}),
                columns=sorted(store.columns),
            )
        )
    return found
