"""Helpers of all routes: the service, common error answers, and files with Range requests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import FileResponse

from ..errors import not_found
from ..schemas import ErrorBody
from ..service import Service

PREFIX = "/api/v1"
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorBody} for code in (400, 401, 403, 404, 409, 413, 415, 422, 429, 507)
}


def service_of(request: Request) -> Service:
    """The service that answers a request."""
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(service_of)]


def send(path: Path, media: str, save_as: str | None = None, cached: bool = False) -> FileResponse:
    """A file, with Range requests; to be saved under a name if one is given. The path is never a request's."""
    if not path.is_file() or path.is_symlink():
        raise not_found("file")
    headers = {"cache-control": "private, max-age=31536000, immutable" if cached else "no-cache"}
    if save_as is not None:
        headers["content-disposition"] = f"attachment; filename*=utf-8''{quote(save_as, safe='')}"
    return FileResponse(os.fspath(path), media_type=media, headers=headers)


AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/flac": {}}, "description": "The sound; Range requests are answered."},
    206: {"content": {"audio/flac": {}}, "description": "A part of it."},
}
