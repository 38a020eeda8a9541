"""A worker process: carries out jobs, one at a time, with what it has loaded kept for the next.

`python -m svc.stages.ui.worker NICE`. JSON lines come in on standard input: `{job, kind, params}` and `{cancel}`. JSON
lines go out on what was standard output; whatever else prints there goes to standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...common.errors import SvcError
from ...common.progress import Bar, Progress
from .errors import body, code_of

EVERY_SECONDS = 0.2  # between two messages on progress


class Cancelled(BaseException):
    """The user stopped the job. Not an Exception, so that nothing that mends errors catches it."""


class Channel:
    """Messages of one job to the server, and the wish of the server that it stop."""

    def __init__(self, out: Any, job: str):
        self._out, self.job, self.cancelled = out, job, threading.Event()
        self._lock = threading.Lock()

    def send(self, **message: Any) -> None:
        with self._lock:
            self._out.write(json.dumps({"job": self.job, **message}) + "\n")
            self._out.flush()

    def item(self, kind: str, **data: Any) -> None:
        """Something that was made on the way."""
        self.send(event="item", item={"kind": kind, **data})

    def check(self) -> None:
        """Raises Cancelled when the server wants the job to stop."""
        if self.cancelled.is_set():
            raise Cancelled


class ChannelProgress(Progress):
    """Progress, as messages; every call is a place where a job can be stopped."""

    def __init__(self, channel: Channel):
        self.channel = channel

    def say(self, text: str) -> None:
        self.channel.check()
        self.channel.send(event="say", text=text)

    def warn(self, text: str) -> None:
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


def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if len(sys.argv) > 1 and hasattr(os, "nice"):
        os.nice(int(sys.argv[1]))
    orders: queue.Queue[dict[str, Any]] = queue.Queue()
    current: list[Channel] = []
    threading.Thread(target=_listen, args=(orders, current), daemon=True).start()
    from .tasks import TASKS

    while True:
        order = orders.get()
        channel = Channel(out, order["job"])
        current[:] = [channel]
        try:
            result = TASKS[order["kind"]](order["params"], channel, ChannelProgress(channel))
            channel.send(event="done", result=result)
        except Cancelled:
            channel.send(event="cancelled")
        except SvcError as error:
            channel.send(event="error", error=body(code_of(error), error.message, error.hint or None))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            traceback.print_exc()
            channel.send(event="error", error=body(code_of(error), str(error) or type(error).__name__))
        finally:
            current.clear()


def _listen(orders: queue.Queue[dict[str, Any]], current: list[Channel]) -> None:
    """Read orders; when the server is gone, so is this process."""
    for line in sys.stdin:
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            if "cancel" not in message:
                orders.put(message)
                continue
            for channel in current:
                if channel.job == message["cancel"]:
                    channel.cancelled.set()
    os._exit(0)


if __name__ == "__main__":
    main()
