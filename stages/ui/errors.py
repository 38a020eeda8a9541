"""Errors of the API: every one is `{code, message, detail}` and a status."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ...common.errors import SvcError

NAMES = {400: "bad_request", 401: "token_needed", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
FULL = (errno.ENOSPC, errno.EDQUOT)


class ApiError(Exception):
    """A request that cannot be fulfilled."""

    def __init__(self, status: int, code: str, message: str, detail: Any = None):
        super().__init__(message)
        self.status, self.code, self.message, self.detail = status, code, message, detail


def not_found(kind: str) -> ApiError:
    """The 404 error of a thing of this kind."""
    return ApiError(404, "not_found", f"there is no such {kind}")


def body(code: str, message: str, detail: Any = None) -> dict[str, Any]:
    """The JSON body of every error."""
    return {"code": code, "message": message, "detail": detail}


def is_full(error: Exception) -> bool:
    """Whether an error of the system or SQLite means a full disk."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    return isinstance(error, sqlite3.OperationalError) and "full" in str(error)


FULL_TEXT = "the disk is full; free some room and try again"
LEAST_FREE = 1 << 20  # bytes: with less, a library's "could not write" means a full disk


def is_on_full_disk(params: dict[str, Any]) -> bool:
    """Whether the disk that a job writes to is full, by the paths among its parameters."""
    for name in ("folder", "out", "store", "run"):
        if isinstance(params.get(name), str):
            place = next((each for each in (Path(params[name]), *Path(params[name]).parents) if each.exists()), None)
            return place is not None and shutil.disk_usage(place).free < LEAST_FREE
    return False


def code_of(error: BaseException) -> str:
    """A stable code for the error of a job: `user`, `audio`, `disk_full`, ..."""
    if isinstance(error, Exception) and is_full(error):
        return "disk_full"
    if isinstance(error, SvcError):
        name = type(error).__name__.removesuffix("Error")
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    return "memory" if isinstance(error, MemoryError) else "fault"


def message_of(error: BaseException) -> str:
    """What an error says, without the hint of an SvcError; the name of an error that says nothing."""
    return error.message if isinstance(error, SvcError) else str(error) or type(error).__name__


def wrong_field(error: Mapping[str, Any]) -> dict[str, str]:
    """One error of pydantic: where it is, and what was expected."""
    return {"where": ".".join(map(str, error["loc"])), "message": error["msg"]}


def install(app: FastAPI) -> None:
    """Turn every error of an app into an ErrorBody."""

    @app.exception_handler(ApiError)
    async def ours(_: Request, error: ApiError) -> JSONResponse:
        return JSONResponse(body(error.code, error.message, error.detail), error.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        detail = [wrong_field(each) for each in error.errors()]
        first = f"{detail[0]['where']}: {detail[0]['message']}" if detail else "something else"
        message = f"expected a request as /api/v1/openapi.json describes it, found {first}"
        return JSONResponse(body("invalid_request", message, detail), 422)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code, message = NAMES.get(error.status_code, "http_error"), str(error.detail)
        if error.status_code in (404, 405):
            message = f"there is no {request.method} {request.url.path[:100]}; /api/v1/openapi.json lists what there is"
        return JSONResponse(body(code, message), error.status_code, error.headers)

    @app.exception_handler(SvcError)
    async def user(_: Request, error: SvcError) -> JSONResponse:
        return JSONResponse(body(code_of(error), error.message, error.hint or None), 422)

    async def system(_: Request, error: Exception) -> JSONResponse:
        if is_full(error):
            return JSONResponse(body("disk_full", FULL_TEXT), 507)
        return JSONResponse(body("fault", "the server failed; the error is in its terminal"), 500)

    app.add_exception_handler(OSError, system)
    app.add_exception_handler(sqlite3.OperationalError, system)
    app.add_exception_handler(Exception, system)
