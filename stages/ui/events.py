"""Events for open pages: published from any thread, read by event streams."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

from .errors import ApiError
from .schemas import Event, EventKind

BEHIND = 1_000  # events that a stream may be behind before it is closed; the page connects anew
BEAT_SECONDS = 15.0  # after this time without an event a comment is sent, which detects a disconnected client


class Broadcaster:
    """Delivers every published event to every stream."""

    def __init__(self, streams: int):
        self._streams, self._lock = streams, threading.Lock()
        self._subscribers: dict[asyncio.Queue[Event | None], asyncio.AbstractEventLoop] = {}

    def publish(self, event: Event) -> None:
        """Give an event to every subscriber; called from any thread."""
        with self._lock:
            for queue, loop in list(self._subscribers.items()):
                if loop.is_closed():
                    del self._subscribers[queue]
                else:
                    loop.call_soon_threadsafe(_put, queue, event)

    def changed(self, kind: EventKind, subject: str, **data: Any) -> None:
        """Publish that a voice, a song or what belongs to it was changed."""
        self.publish(Event(kind=kind, subject=subject, data=data))

    def close(self) -> None:
        """End all streams."""
        with self._lock:
            for queue, loop in self._subscribers.items():
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_put, queue, None)

    async def stream(self, subject: str | None, first: list[Event]) -> AsyncIterator[bytes]:
        """Server-sent events: the present state, then all changes (of one subject).

        Raises ApiError when there are too many.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue(BEHIND)
        with self._lock:
            if len(self._subscribers) >= self._streams:
                raise ApiError(429, "too_many_streams", f"{self._streams} event streams are open")
            self._subscribers[queue] = asyncio.get_running_loop()
        return self._read(queue, subject, first)

    async def _read(
        self, queue: asyncio.Queue[Event | None], subject: str | None, first: list[Event]
    ) -> AsyncIterator[bytes]:
        try:
            yield b"retry: 1000\n\n"
            for event in first:
                yield _encoded(event)
            while True:
                try:
                    message = await asyncio.wait_for(queue.get(), BEAT_SECONDS)
                except TimeoutError:
                    yield b": \n\n"
                    continue
                if message is None:
                    return
                event = message
                if subject is None or subject in (event.subject, event.data.get("id"), event.data.get("parent")):
                    yield _encoded(event)
        finally:
            with self._lock:
                self._subscribers.pop(queue, None)


def _put(queue: asyncio.Queue[Event | None], event: Event | None) -> None:
    if queue.full():  # a client that does not read must reconnect, and then gets the present state
        queue.get_nowait()
        event = None
    queue.put_nowait(event)


def _encoded(event: Event) -> bytes:
    return f"event: {event.kind}\ndata: {event.model_dump_json()}\n\n".encode()
