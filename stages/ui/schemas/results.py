"""Exports and renders, and their files."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from .base import Strict
from .takes import TakeSettings


class ExportRequest(Strict):
    """A request to export: the parts, and the format."""

    what: Annotated[str, StringConstraints(pattern="^(whole|stems|takes)$")] = "whole"
    format: Annotated[str, StringConstraints(pattern="^(wav|flac|mp3|ogg)$")] = "wav"


class RenderRequest(Strict):
    """Render all parts of a song at once, as `svc render --parts` does, without takes.

    `settings`: of each converted part, by its id. Gains, times and f0 are those of the parts.
    """

    settings: Annotated[dict[str, TakeSettings], Field(max_length=64)]
    format: Annotated[str, StringConstraints(pattern="^(wav|flac|mp3|ogg)$")] = "wav"


class Result(BaseModel):
    """A file that was made. `file` is its name on the server; `label` is the name for saving."""

    id: str
    song: str | None = None
    label: str
    file: str
    bytes: int
    created: float
    media: str
    about: dict[str, Any] = {}
