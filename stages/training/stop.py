"""Stopping a training at a step's end, when a user or a cluster asks for it."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Stopped(BaseException):
    """A signal asked the training to stop. It is no Exception, so that no handler catches it."""


class StopSignals:
    """While it is entered, SIGINT and SIGTERM do not end the process, but set `requested`.

    Between `interruptible()` and its end they raise Stopped at once: for work that may be abandoned. A second Ctrl-C
    raises KeyboardInterrupt; a second SIGTERM does not: launchers send one on that the process already had. Outside the
    main thread signals are left alone.
    """

    def __init__(self) -> None:
        self.requested: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._interruptible = False

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = self.requested or signal.Signals(number)
        if self._interruptible:
            raise Stopped

    def interruptible(self) -> _Interruptible:
        """A context in which a signal raises Stopped."""
        return _Interruptible(self)

    def leave(self) -> None:
        """End as the signal asked: raises KeyboardInterrupt for SIGINT, SystemExit(143) for SIGTERM."""
        if self.requested != signal.SIGINT:  # None: another process of the training was stopped
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt


class _Interruptible:
    def __init__(self, signals: StopSignals):
        self._signals = signals

    def __enter__(self) -> None:
        if self._signals.requested is not None:
            raise Stopped
        self._signals._interruptible = True

    def __exit__(self, *error: object) -> None:
        self._signals._interruptible = False
