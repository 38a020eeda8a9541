"""The objectives by name. They are imported when they are made, so that settings can be checked without torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .objective import Objective


def _flow() -> Objective:
    from .rectified_flow import RectifiedFlow

    return RectifiedFlow()


def _ddpm() -> Objective:
    from .ddpm import DDPM

    return DDPM()


OBJECTIVES: dict[str, Callable[[], Objective]] = {"flow": _flow, "ddpm": _ddpm}


def new_objective(name: str) -> Objective:
    """Raises ValueError for a name that is not in OBJECTIVES."""
    if name not in OBJECTIVES:
        raise ValueError(f"objective {name!r} is not known; choose {' or '.join(OBJECTIVES)}")
    return OBJECTIVES[name]()
