"""A worker's messages about one job to the server: JSON lines."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...common.progress import Bar, Progress

EVERY_SECONDS = 0.2  # between two messages on progress


class Cancelled(BaseException):
    """The user stopped the job. It is not an Exception, so that no error handler catches it."""


class Channel:
    """Messages of one job to the server, and the server's request to stop."""

    def __init__(self, out: Any, job: str):
        self._out, self.job, self.cancelled = out, job, threading.Event()
        self._lock = threading.Lock()

    def send(self, **message: Any) -> None:
        """Write one message, a JSON record a line."""
        with self._lock:
            self._out.write(json.dumps({"job": self.job, **message}) + "\n")
            self._out.flush()

    def item(self, kind: str, **data: Any) -> None:
        """Report an intermediate result."""
        self.send(event="item", item={"kind": kind, **data})

    def check(self) -> None:
        """Raises Cancelled if the server has requested the job to stop."""
        if self.cancelled.is_set():
            raise Cancelled


class ChannelProgress(Progress):
    """Progress, as messages; a job can be stopped at every call."""

    def __init__(self, channel: Channel):
        self.channel = channel

    def say(self, text: str) -> None:
        """Send a line of the log. Raises Cancelled if the job was cancelled."""
        self.channel.check()
        self.channel.send(event="say", text=text)

    def warn(self, text: str) -> None:
        """Send a warning."""
        self.say(f"warning: {text}")

    @contextmanager
    def bar(self, label: str, total: float, unit: str, done: float = 0) -> Iterator[Bar]:
        bar = _ChannelBar(self.channel, label, total, unit, done)
        bar.tell(True)
        yield bar
        bar.tell(True)


class _ChannelBar:
    def __init__(self, channel: Channel, label: str, total: float, unit: str, done: float):
        self.channel, self.label, self.total, self.unit = channel, label, total, unit
        self.first = self.done = done
        self.noted, self.begun, self.told = "", time.monotonic(), 0.0

    def advance(self, amount: float = 1) -> None:
        self.done += amount
        self.tell()

    def note(self, text: str) -> None:
        self.noted = text

    def tell(self, now: bool = False) -> None:
        self.channel.check()
        moment = time.monotonic()
        if not now and moment - self.told < EVERY_SECONDS:
            return
        self.told = moment
        worked = self.done - self.first
        left = (moment - self.begun) / worked * max(0.0, self.total - self.done) if worked > 0 else None
        self.channel.send(
            event="progress",
            progress={
                "stage": self.label,
                "done": self.done,
                "total": self.total,
                "unit": self.unit,
                "note": self.noted,
                "seconds_left": left,
            },
        )
