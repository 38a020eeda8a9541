"""Time by part of the work, each second counted once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """`with watch("encoder"): ...`; time that is measured inside another part is subtracted from that one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.begun = time.monotonic()
        self.first_sound: float | None = None
        self._stack: list[str] = []
        self._since = self.begun

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._count()
        self._stack.append(name)
        try:
            yield
        finally:
            self._count()
            self._stack.pop()

    def sounded(self) -> None:
        """Sound was computed: the time of the first call is stored."""
        if self.first_sound is None:
            self.first_sound = time.monotonic() - self.begun

    @property
    def total(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self.begun

    def table(self) -> dict[str, float]:
        """Seconds by name, most first, and the remaining time as `other`."""
        rest = max(0.0, self.total - sum(self.seconds.values()))
        ranked = sorted(self.seconds.items(), key=lambda item: -item[1])
        return {**{name: round(seconds, 3) for name, seconds in ranked}, "other": round(rest, 3)}

    def _count(self) -> None:
        now = time.monotonic()
        if self._stack:
            self.seconds[self._stack[-1]] = self.seconds.get(self._stack[-1], 0.0) + now - self._since
        self._since = now
