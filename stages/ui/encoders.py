"""Encoders that a voice can be made with."""

from __future__ import annotations

from .home import Home

ENCODERS = ("en", "ko", "ja", "zh", "en-large", "contentvec", "mini")  # the program's own names


def encoder_names(home: Home) -> list[str]:
    """The program's own names, then folders in HOME/encoders."""
    folder = home.path / "encoders"
    local = [path.parent.name for path in sorted(folder.glob("*/config.json"))] if folder.is_dir() else []
    return [*ENCODERS, *local]


def encoder_source(home: Home, name: str) -> str:
    """What `svc extract --encoder` is given for one of `encoder_names`."""
    return name if name in ENCODERS else str(home.path / "encoders" / name)
