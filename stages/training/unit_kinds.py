"""Kinds of units by name, as `svc train --compare` takes them: "512", "hidden", "linear-512"."""

from __future__ import annotations

import dataclasses

from ..settings import TrainSettings
from ..settings.train import UNITS


def of_kind(settings: TrainSettings, kind: str) -> TrainSettings:
    """The settings with soft units of a width ("512"), or units of another kind ("hidden", "linear", "linear-512").

    Raises ValueError for other names.
    """
    if kind.isdigit():
        return dataclasses.replace(settings, units="soft", unit_dim=int(kind))
    if (width := kind.removeprefix("linear-")).isdigit():
        return dataclasses.replace(settings, units="linear", unit_dim=int(width))
    if kind in UNITS:
        return dataclasses.replace(settings, units=kind)
    raise ValueError(f"{kind!r} is no width and no kind of units; give such as 256, or {', '.join(UNITS)}, linear-512")


def name_of(settings: TrainSettings) -> str:
    """Such as `soft 256`."""
    return f"{settings.units} {settings.unit_dim}" if settings.units in ("soft", "linear") else settings.units
