"""The web socket of live conversion."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from ..service import Service
from .context import PREFIX

router = APIRouter(prefix=PREFIX)


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Sound both ways, float32 little-endian, mono, 44.1 kHz: each message is answered by one of as many samples.

    The first message is JSON text, a LiveStart; later ones may be a LiveChange. The server's texts are LiveEvents.
    """
    service: Service = socket.app.state.service
    await service.live.serve(socket)
