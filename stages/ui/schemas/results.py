"""Exports and renders, and the files that they make."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from .base import Strict
from .takes import TakeSettings


class ExportRequest(Strict):
    """What to export, and in which format."""

    what: Annotated[str, StringConstraints(pattern="^(whole|stems|takes)$")] = "whole"
    format: Annotated[str, StringConstraints(pattern="^(wav|flac|mp3|ogg)$")] = "wav"


class RenderRequest(Strict):
    """Render all parts of a song at once, as `svc render --parts` does, without takes.

    `settings`: how each part that is converted is, by its id. Gains, times and f0 are those of the parts.
    """

    settings: Annotated[dict[str, TakeSettings], Field(max_length=64)]
    format: Annotated[str, StringConstraints(pattern="^(wav|flac|mp3|ogg)$")] = "wav"


class Result(BaseModel):
    """A file that was made. `file` is a name of ours; `label` is what it is saved as."""

    id: str
    song: str | None = None
    label: str
    file: str
    bytes: int
    created: float
    media: str
    about: dict[str, Any] = {}
