"""Checks of requests: Host, Origin, token, sizes and speeds; and the headers of every answer.

A plain ASGI middleware, so that nothing of the application runs before the checks have passed.
docs/ui-security.md lists the threats, each with its test.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from .errors import ApiError, body
from .settings import ServerSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "svc_token"
SAFE_METHODS = ("GET", "HEAD")
API = ("/api/", "/v1/", "/voiceChangeModel")
SESSION = "/api/v1/session"
WEB_SOCKETS = ("/api/v1/live",)
UPLOADS = ("/recordings", "/songs", "/parts", "/v1/audio/voice-conversions", "/voiceChangeModel")

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
        "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(self), payment=(), usb=()",
}


class Refused(ApiError):
    """A request that the guard turns away."""


class Guard:
    """Checks each request of `app`, and adds the headers."""

    def __init__(self, app: App, settings: ServerSettings):
        self.app, self.settings = app, settings
        self.uploading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._web_socket(scope, receive, send)
            return
        answer = _Answer(send, is_api(scope["path"]))
        try:
            headers = _headers(scope)
            self._check(scope, headers)
            upload = scope["method"] == "POST" and scope["path"].endswith(UPLOADS)
            limit = self.settings.upload_bytes if upload else self.settings.form_bytes
            if int(headers.get("content-length", "0") or 0) > limit:
                raise Refused(413, "too_large", f"the body is larger than {limit} bytes")
            if upload and self.uploading >= self.settings.uploads:
                raise Refused(429, "too_many_uploads", f"{self.settings.uploads} uploads are under way; try again soon")
            self.uploading += upload
            answer.body = _Body(receive, limit, self.settings.idle_seconds)
            try:
                await self.app(scope, answer.body, answer)
            finally:
                self.uploading -= upload
        except (Refused, ValueError) as error:
            if answer.started:
                raise
            refused = error if isinstance(error, Refused) else Refused(400, "bad_request", "the request is malformed")
            await answer.refuse(refused)

    async def _web_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Browsers let every page open web sockets to any server: the same checks, before the handshake is answered."""
        try:
            if scope["path"] not in WEB_SOCKETS:
                raise Refused(404, "not_found", "there is no such web socket")
            self._check(scope, _headers(scope))
        except Refused:
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # answered with 403
            return
        await self.app(scope, receive, send)

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        """Raises Refused unless the request comes under our name, from our page or from no page, with the token."""
        host = headers.get("host", "")
        if not self.settings.host_is_allowed(_name(host)):
            raise Refused(421, "host_not_allowed", "this server does not answer under that Host; see svc ui --help")
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        scheme = scope.get("scheme", "http").replace("ws", "http")
        ours = f"{scheme}://{host}".lower()
        if (scope.get("method", "GET") not in SAFE_METHODS or is_api(scope["path"])) and (
            (site is not None and site not in ("same-origin", "none"))
            or (origin is not None and origin.lower() != ours)
        ):
            raise Refused(403, "cross_origin", "requests from other sites are refused")
        if self.settings.token and is_api(scope["path"]) and scope["path"] != SESSION and not self._knows(headers):
            raise Refused(401, "token_needed", "the token that svc ui printed is needed: cookie or bearer")

    def _knows(self, headers: dict[str, str]) -> bool:
        """Whether a request has the token, compared in constant time."""
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer.strip() if kind.lower() == "bearer" else ""
        if not given:
            try:
                morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
            except CookieError:
                morsel = None
            given = morsel.value if morsel else ""
        return same_token(given, self.settings.token or "")


def same_token(given: str, token: str) -> bool:
    """Whether two tokens are equal, compared in constant time."""
    return hmac.compare_digest(given.encode(), token.encode())


def is_api(path: str) -> bool:
    """Whether a path is the API's, which needs a token."""
    return path.startswith(API)


class _Body:
    """A request's body, no larger than `limit` bytes, each part within `seconds`."""

    def __init__(self, receive: Receive, limit: int, seconds: float):
        self.receive, self.left, self.seconds, self.whole = receive, limit, seconds, False
        self.refused: Refused | None = None

    async def __call__(self) -> Message:
        if self.whole:  # from now on only the client's disconnection is awaited
            return await self.receive()
        try:
            message = await asyncio.wait_for(self.receive(), self.seconds)
        except TimeoutError as error:
            self.refused = Refused(408, "too_slow", f"nothing was sent for {self.seconds:.0f} s")
            raise self.refused from error
        if message["type"] == "http.request":
            self.left -= len(message.get("body", b""))
            self.whole = not message.get("more_body", False)
            if self.left < 0:
                self.refused = Refused(413, "too_large", "the body is larger than is accepted here")
                raise self.refused
        return message


class _Answer:
    """`send`, with our headers. If the body was refused, that is the answer, not the app's."""

    def __init__(self, send: Send, api: bool):
        self.send, self.api, self.started, self.ended = send, api, False, False
        self.body: _Body | None = None

    async def __call__(self, message: Message) -> None:
        if self.ended:
            return
        if message["type"] == "http.response.start":
            if self.body and self.body.refused and not self.started:
                await self.refuse(self.body.refused)
                return
            self.started = True
            there = {name.lower() for name, _ in message["headers"]}
            added = {**HEADERS, "cache-control": "no-store" if self.api else "no-cache"}
            more = [(name.encode(), value.encode()) for name, value in added.items() if name.encode() not in there]
            message = {**message, "headers": [*message["headers"], *more]}
        await self.send(message)

    async def refuse(self, refused: Refused) -> None:
        data = json.dumps(body(refused.code, refused.message)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        if refused.status in (408, 413):
            headers.append((b"connection", b"close"))
        self.body = None
        await self({"type": "http.response.start", "status": refused.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": data})
        self.ended = True


def _headers(scope: Scope) -> dict[str, str]:
    """Of each header its value; Host, Origin and the like may come once only."""
    found: dict[str, str] = {}
    for raw_name, value in scope["headers"]:
        name = raw_name.decode("latin-1")
        if name in found and name in ("host", "origin", "sec-fetch-site", "content-length", "authorization"):
            raise Refused(400, "bad_request", f"the header {name} came twice")
        found[name] = value.decode("latin-1")
    return found


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host
