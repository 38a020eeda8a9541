"""`svc ui`: serve a home folder until Ctrl-C."""

from __future__ import annotations

import contextlib
import socket
import webbrowser
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from dataclasses import dataclass

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ...common.errors import UserError
from .app import create_app
from .home import Home
from .live.line import LARGEST_BLOCK, SAMPLE_BYTES
from .service import Service
from .settings import ServerSettings

HEADER_SECONDS = 15.0  # in which a request's headers must have come
BACKLOG = 2_048


class ImpatientProtocol(H11Protocol):
    """Closes connections that do not send a request's headers in time."""

    _patience: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Close the connection unless its headers come within HEADER_SECONDS."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEADER_SECONDS, self._lose)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Stop the timer: the headers have come."""
        if self._patience:
            self._patience.cancel()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        if self._patience:
            self._patience.cancel()
        super().connection_lost(exc)

    def _lose(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class PageServer(uvicorn.Server):
    """A server that ends its event streams first, since they would keep it open."""

    def __init__(self, config: uvicorn.Config, service: Service):
        super().__init__(config)
        self.service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams of events first, which would otherwise never end."""
        self.service.broadcaster.close()
        await super().shutdown(sockets)


@dataclass(frozen=True)
class Served:
    """A server that listens already, and the address of its page."""

    server: uvicorn.Server
    socket: socket.socket
    url: str

    def run(self) -> None:
        """Serve until it is interrupted, or `server.should_exit` is set."""
        self.server.run([self.socket])


def serve(settings: ServerSettings, say: Callable[[str], None], browse: bool = True) -> None:
    """Serve until interrupted.

    Raises:
        UserError: the address cannot be listened on, or the home folder cannot be used.
    """
    served = open_server(settings)
    say(f"{Home.open(settings.home).path}: {served.url} (Ctrl-C ends it)")
    if browse:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(served.url)
    with contextlib.suppress(KeyboardInterrupt):
        served.run()


def open_server(settings: ServerSettings) -> Served:
    """Listen, and make the application. Raises as `serve`."""
    Home.open(settings.home)
    _allow_many_files()
    listening = _listen(settings)
    port = listening.getsockname()[1]
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http=ImpatientProtocol,
        ws="websockets-sansio",
        ws_max_size=LARGEST_BLOCK * SAMPLE_BYTES,
        ws_per_message_deflate=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
        backlog=BACKLOG,
    )
    secret = f"#token={settings.token}" if settings.token else ""
    return Served(PageServer(config, app.state.service), listening, f"http://{shown}:{port}/{secret}")


def _listen(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        why = error.strerror or str(error)
        raise UserError(
            f"{settings.host}:{settings.port} cannot be listened on: {why}", "give another --port"
        ) from error
    return listening


def _allow_many_files() -> None:
    """As many open connections as the system lets this process have."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536) if most > 0 else 65_536, most))
