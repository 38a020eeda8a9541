"""Encoders that a voice can be made with."""

from __future__ import annotations

from ...pipeline.encoder.registry import short_names
from .home import Home


def encoder_names(home: Home) -> list[str]:
    """The short names of the registered encoders, then folders in HOME/encoders."""
    folder = home.path / "encoders"
    local = [path.parent.name for path in sorted(folder.glob("*/config.json"))] if folder.is_dir() else []
    return [*short_names(), *local]


def encoder_source(home: Home, name: str) -> str:
    """The argument of `svc extract --encoder` for one of `encoder_names`."""
    return name if name in short_names() else str(home.path / "encoders" / name)
