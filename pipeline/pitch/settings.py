"""Settings of f0. Without torch, so that a mistake in the options is reported before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NAMES = ("swift-f0", "dio", "harvest", "crepe", "crepe-tiny", "fcpe", "rmvpe")
NAMES_WITH_FILE = ("rmvpe",)  # those that are given as NAME:FILE


@dataclass(frozen=True)
class PitchSettings:
    """How f0 is found: by `method` (one of NAMES; `rmvpe:FILE` names its weights), between `f0_min` and `f0_max` Hz."""

    method: str = "swift-f0"
    f0_min: float = 65.0
    f0_max: float = 1100.0

    def __post_init__(self) -> None:
        if self.name not in NAMES or (":" in self.method and self.name not in NAMES_WITH_FILE):
            raise ValueError(f"f0 method {self.method!r} is not known; choose {', '.join(NAMES)}")
        if not 20.0 <= self.f0_min < self.f0_max <= 4000.0:
            raise ValueError(f"f0 range {self.f0_min} to {self.f0_max} Hz: it must lie within 20 to 4000 Hz, and rise")

    @property
    def name(self) -> str:
        """The method without a file."""
        return self.method.partition(":")[0]

    def described(self) -> dict[str, Any]:
        """The record in a store or run: the method by its name, without the path of its weights on this machine."""
        return {"method": self.name, "f0_min": self.f0_min, "f0_max": self.f0_max}
