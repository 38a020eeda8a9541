"""Progress on standard error: bars on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..common.progress import Bar, Progress
from ..common.text import count, plural_of, printable


class Terminal(Progress):
    """Prints everything that a stage reports."""

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
            self.say(f"{label}: {count(total, unit)} done")
            return
        amount = "{n:.0f}/{total:.0f} " + plural_of(unit)
        shape = "{desc}: {percentage:3.0f}% |{bar}| " + amount + " [{elapsed}, {remaining} left{postfix}]"
        with tqdm(
            total=total,
            initial=done,
            desc=printable(label),
            unit=unit,
            bar_format=shape,
            leave=False,
        ) as bar:
            yield TqdmBar(bar)


class TqdmBar(Bar):
    """A tqdm bar with the interface of `Progress`'s bars."""

    def __init__(self, bar: Any):
        self._bar = bar

    def advance(self, amount: float = 1) -> None:
        self._bar.update(amount)

    def note(self, text: str) -> None:
        self._bar.set_postfix_str(text, refresh=False)


class LineBar(Bar):
    """A line every 30 s, for a log: how far the work is, what was noted, how long it still takes."""

    EVERY = 30.0  # seconds

    def __init__(self, terminal: Terminal, label: str, total: float, unit: str, done: float):
        self.terminal, self.label, self.total, self.unit = terminal, label, total, unit
        self.first = self.done = done
        self.noted, self.begun = "", time.monotonic()
        self.printed = self.begun

    def advance(self, amount: float = 1) -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.printed < self.EVERY or self.done >= self.total:
            return
        self.printed = now
        left = (now - self.begun) / (self.done - self.first) * (self.total - self.done)
        self.terminal.say(
            f"{self.label}: {self.done:,.0f} of {count(self.total, self.unit)}{self.noted}, "
            f"{int(left) // 60}:{int(left) % 60:02d} min left"
        )

    def note(self, text: str) -> None:
        self.noted = f", {text}"
