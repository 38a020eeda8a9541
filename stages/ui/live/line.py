"""Between a web socket and the process that converts live: checks, limits, and the end of a connection."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from ....pipeline.frames import MEL_RATE
from ..errors import ApiError, wrong_field
from ..process import resident_bytes
from ..schemas import ErrorBody
from ..settings import ServerSettings
from ..voices import Voices
from .messages import LiveChange, LiveEvent, LiveEventKind, LiveStart
from .packets import Kind
from .process import LiveProcess

SAMPLE_BYTES = 4  # float32
LARGEST_BLOCK = 16_384  # samples of one message
RATE_ABOVE, BURST_SECONDS = 1.1, 3.0  # limits: sound faster than real time, and at once
WAIT_SECONDS = 5.0  # within which a conversion that was stopped, for example by a reload, ends
POLICY, FAILED = 1008, 1011  # close codes of web sockets


class LiveLine:
    """The live conversion of a server: one at a time, since each needs a core for itself."""

    def __init__(self, settings: ServerSettings, voices: Voices):
        self.settings, self.voices = settings, voices
        self.process: LiveProcess | None = None
        self._free = asyncio.Lock()

    async def serve(self, socket: WebSocket) -> None:
        """Convert a browser's sound, until it disconnects or breaks a rule."""
        await socket.accept()
        try:
            await asyncio.wait_for(self._free.acquire(), WAIT_SECONDS)
        except TimeoutError:
            await _close(socket, ApiError(409, "live_busy", "another page converts live already"))
            return
        try:
            await self._convert(socket)
        except (WebSocketDisconnect, OSError):
            pass
        except ValidationError as error:
            first = wrong_field(error.errors()[0])
            where = first["where"] or "the message"
            await _close(socket, ApiError(422, "invalid_request", f"{where}: {first['message']}"))
        except ApiError as error:
            await _close(socket, error)
        finally:
            self._free.release()

    async def _convert(self, socket: WebSocket) -> None:
        start = LiveStart.model_validate_json(await self._text(socket))
        run = self.voices.run(start.voice)
        self.process = await LiveProcess.start(run, start.model_dump(exclude={"voice"}))
        relay = _Relay(socket, self.process, self.settings)
        tasks = {asyncio.create_task(relay.upward()), asyncio.create_task(relay.downward())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.process.end()
            self.process = None
        await socket.close()

    async def _text(self, socket: WebSocket) -> str:
        text = (await _receive(socket, self.settings.idle_seconds)).get("text")
        if text is None:
            raise ApiError(422, "invalid_request", "expected the voice and settings as JSON text, found sound")
        return str(text)


class _Relay:
    """Both ways of one live conversion."""

    def __init__(self, socket: WebSocket, process: LiveProcess, settings: ServerSettings):
        self.socket, self.process, self.settings = socket, process, settings
        self.ready = self.refused = False  # from the process's `ready` event

    async def upward(self) -> None:
        """From the browser to the process: sound once it is ready, and settings."""
        idle, pace = self.settings.idle_seconds, _Pace()
        while True:
            message = await _receive(self.socket, idle)
            sound = message.get("bytes")
            if sound is None:
                settings = LiveChange.model_validate_json(message.get("text") or "")
                if self.ready:
                    await self.process.send(Kind.record, settings.model_dump_json().encode())
                continue
            samples, rest = divmod(len(sound), SAMPLE_BYTES)
            if rest or not 0 < samples <= LARGEST_BLOCK:
                raise ApiError(422, "invalid_request", f"expected 1 to {LARGEST_BLOCK} float32 samples a message")
            pace.take(samples)
            if self.ready:
                await self.process.send(Kind.sound, sound)

    async def downward(self) -> None:
        """From the process to the browser, until the process ends."""
        checked = 0.0
        while True:
            try:
                kind, payload = await self.process.receive()
            except EOFError:
                if self.refused:
                    return
                raise ApiError(500, "worker_died", "the process that converted live ended unexpectedly") from None
            if kind == Kind.sound:
                await self.socket.send_bytes(payload)
            else:
                event = json.loads(payload)["event"]
                self.ready |= event == LiveEventKind.ready
                self.refused |= event == LiveEventKind.error and not self.ready
                await self.socket.send_text(payload.decode())
            if time.monotonic() - checked > 1.0:
                checked = time.monotonic()
                if resident_bytes(self.process.pid) > self.settings.worker_bytes:
                    raise ApiError(507, "memory", "live conversion needed more memory than it may have")


class _Pace:
    """Counts incoming sound, which cannot be faster than real time."""

    def __init__(self) -> None:
        self._begun, self._samples = time.monotonic(), 0

    def take(self, samples: int) -> None:
        """Raises ApiError if too much has arrived since the beginning."""
        self._samples += samples
        allowed = RATE_ABOVE * (time.monotonic() - self._begun) + BURST_SECONDS
        if self._samples > allowed * MEL_RATE:
            raise ApiError(429, "too_fast", "sound came faster than it is recorded")


async def _receive(socket: WebSocket, seconds: float) -> Mapping[str, Any]:
    """The browser's next message. Raises ApiError after that time without one, WebSocketDisconnect at the end."""
    try:
        message = await asyncio.wait_for(socket.receive(), seconds)
    except TimeoutError as error:
        raise ApiError(408, "too_slow", f"nothing was sent for {seconds:.0f} s") from error
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    return message


async def _close(socket: WebSocket, error: ApiError) -> None:
    """Send the reason, then close."""
    event = LiveEvent(
        event=LiveEventKind.error, error=ErrorBody(code=error.code, message=error.message, detail=error.detail)
    )
    try:
        await socket.send_text(event.model_dump_json(exclude_none=True))
        await socket.close(FAILED if error.status >= 500 else POLICY, error.code)
    except (RuntimeError, WebSocketDisconnect):  # it has disconnected already
        pass
