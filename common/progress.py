"""How a stage reports its progress: it never prints, it calls a `Progress`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """One stretch of long work."""

    def advance(self, amount: float = 1) -> None:
        """Count `amount` more units of work as done."""

    def note(self, text: str) -> None:
        """Something short to show beside the bar, such as a loss."""


class Progress:
    """Reports nothing. The command line has a subclass that prints."""

    def say(self, text: str) -> None:
        """Report a line of information."""

    def warn(self, text: str) -> None:
        """Report a warning."""

    @contextmanager
    def bar(self, label: str, total: float, unit: str, done: float = 0) -> Iterator[Bar]:
        """A stretch of work of `total` units, `done` of them already."""
        yield _Silent()


class _Silent:
    def advance(self, amount: float = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass
