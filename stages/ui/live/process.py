"""The process that converts live, seen from the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from . import packets
from .packets import Kind, Packet

GRACE_SECONDS = 3.0


class LiveProcess:
    """`python -m svc.stages.ui.live.worker`, with the server at both of its ends."""

    def __init__(self, process: asyncio.subprocess.Process):
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._in, self._out = process, process.stdin, process.stdout

    @classmethod
    async def start(cls, run: Path, settings: dict[str, Any]) -> LiveProcess:
        """Start a process that loads a run; its first packets report the loading."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "svc.stages.ui.live.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
            start_new_session=True,  # Ctrl-C goes to the server, which then ends this process
        )
        started = cls(process)
        await started.send(Kind.record, json.dumps({"run": str(run), "settings": settings}).encode())
        return started

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def send(self, kind: Kind, payload: bytes) -> None:
        """Send a packet. Raises OSError if the process has ended."""
        self._in.write(packets.packed(kind, payload))
        await self._in.drain()

    async def receive(self) -> Packet:
        """The next packet. Raises EOFError if the process has ended."""
        return await packets.receive(self._out)

    async def end(self) -> None:
        """Close its input, and kill it if that does not suffice."""
        self._in.close()
        try:
            await asyncio.wait_for(self._process.wait(), GRACE_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
