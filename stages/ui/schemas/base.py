"""Common parts of requests and answers: checked texts, strict requests, errors."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Text = Annotated[str, StringConstraints(max_length=2_000)]


class Strict(BaseModel):
    """A request: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(BaseModel):
    """Every error."""

    code: str = Field(description="A stable word for programs.")
    message: str = Field(description="A sentence for people.")
    detail: Any = Field(None, description="Whatever more is known.")
