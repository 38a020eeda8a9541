"""One frozen dataclass of settings a command, checked when made, saved beside what it produced."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..pipeline.audio import SliceSettings
from ..pipeline.pitch import PitchSettings


@dataclass(frozen=True)
class ExtractSettings:
    """What `svc extract` computes.

    `layers` None means a middle one and the last: 7 and 12 of a base model.
    """

    encoder: str = "en"
    layers: tuple[int, ...] | None = None
    slices: SliceSettings = field(default_factory=SliceSettings)
    pitch: PitchSettings = field(default_factory=PitchSettings)
    device: str = "auto"


def pick_device(name: str) -> str:
    """`auto` becomes the GPU where there is one. Raises UserError for a device that is not there."""
    import torch

    from .errors import UserError

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device {name!r} cannot be used here: {reason}; try --device auto or cpu") from error
    return name


def beside(path: Path, suffix: str) -> Path:
    """The path next to `path` that has its name and another suffix, for folders with dots in their names too."""
    path = Path(path).absolute()
    return path.parent / (path.name + suffix)
