"""Progress as the command line tells it, on standard error: bars where somebody watches, single lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..common.progress import Bar, Progress


class Terminal(Progress):
    """Says everything."""

    def say(self, text: str) -> None:
        click.echo(printable(text), err=True)

    def warn(self, text: str) -> None:
        click.echo(f"warning: {printable(text)}", err=True)

    @contextmanager
    def bar(self, label: str, total: float, unit: str, done: float = 0) -> Iterator[Bar]:
        from tqdm import tqdm

        if total <= done:
            yield TqdmBar(tqdm(disable=True))
            return
        if not sys.stderr.isatty():
            yield LineBar(self, label, total, unit, done)
            self.say(f"{label}: {total:.0f} {unit} done")
            return
        shape = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} {unit} [{elapsed}, {remaining} left{postfix}]"
        with tqdm(
            total=total,
            initial=done,
            desc=printable(label),
            unit=unit,
            bar_format=shape,
            leave=False,
        ) as bar:
            yield TqdmBar(bar)


class TqdmBar:
    """A tqdm bar behind the names that stages use."""

    def __init__(self, bar: Any):
        self._bar = bar

    def advance(self, amount: float = 1) -> None:
        self._bar.update(amount)

    def note(self, text: str) -> None:
        self._bar.set_postfix_str(text, refresh=False)


class LineBar:
    """A line now and then, for a log: how far it is, what was noted, how long it still takes."""

    EVERY = 30.0  # seconds

    def __init__(self, terminal: Terminal, label: str, total: float, unit: str, done: float):
        self.terminal, self.label, self.total, self.unit = terminal, label, total, unit
        self.first = self.done = done
        self.noted, self.begun = "", time.monotonic()
        self.told = self.begun

    def advance(self, amount: float = 1) -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.told < self.EVERY or self.done >= self.total:
            return
        self.told = now
        left = (now - self.begun) / (self.done - self.first) * (self.total - self.done)
        self.terminal.say(
            f"{self.label}: {self.done:.0f} of {self.total:.0f} {self.unit}{self.noted}, "
            f"{int(left) // 60}:{int(left) % 60:02d} min left"
        )

    def note(self, text: str) -> None:
        self.noted = f", {text}"


def printable(text: str) -> str:
    """Text that any terminal takes: bytes of a name that are no UTF-8 become question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding, "replace")
