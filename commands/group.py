"""The group of all commands: their exit codes, and how errors are printed."""

from __future__ import annotations

import errno
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import cloup

from ..common.errors import SvcError
from ..common.text import count, printable

DONE, REFUSED, WRONG, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

FORMATTER = cloup.HelpFormatter.settings(max_width=100, col2_min_width=20)

EXIT_CODES = """\b
Exit codes:
  0    done; what had to be refused is named and counted in a warning
  1    something was refused and --strict was given, or `verify` found damage
  2    nothing was done: the message says what to change
  130  interrupted, 143 terminated: the same command continues
"""


class CommandGroup(cloup.Group):
    """Prints an SvcError or OSError as one message with exit code 2, and makes Ctrl-C exit code 130."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; turn SIGTERM, Ctrl-C and errors into messages and exit codes."""
        try:
            with stopped_by_sigterm():
                return super().invoke(ctx)
        except Terminated:
            say("\nterminated; the same command continues from here", err=True)
            sys.exit(TERMINATED)
        except KeyboardInterrupt:
            say("\ninterrupted; the same command continues from here", err=True)
            sys.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if not isinstance(error, SvcError | OSError):
                raise
            say(f"svc: {described(error)}", err=True)
            sys.exit(WRONG)


# Hints for errors of the operating system.
OS_HINTS = {
    errno.ENOSPC: "Free some space; what is finished is kept, and the same command continues from here",
    errno.EDQUOT: "Free some space; what is finished is kept, and the same command continues from here",
    errno.EROFS: "Name a place that can be written to",
    errno.EMFILE: "Allow more open files: ulimit -n 4096",
}


def described(error: SvcError | OSError) -> str:
    """An error as it is printed. One of the operating system names its file first: `FILE: No space left on device`."""
    if isinstance(error, SvcError) or error.filename is None or error.strerror is None:
        return str(error)
    hint = OS_HINTS.get(error.errno or 0)
    return f"{error.filename}: {error.strerror}" + (f"\n{hint}" if hint else "")


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived, which schedulers and shutdowns send.

    It ends a command as Ctrl-C does, so that it cleans up its files.
    """


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Makes SIGTERM raise Terminated in the main thread."""

    def stop(number: int, frame: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# Of a command that may refuse parts of its input.
PARTS_EPILOG = "Exit codes: 0 done, 1 something was refused and --strict was given, 2 nothing was done."


@contextmanager
def checked_settings() -> Iterator[None]:
    """Turns a ValueError of the settings into a usage error."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(printable(str(error))) from error


def say(text: str, err: bool = False) -> None:
    """Print a line; control characters in it (a name may hold terminal escapes) are escaped."""
    click.echo(printable(text), err=err)


def finish(refused: int, noun: str, strict: bool, any_done: bool = True) -> None:
    """End a command of which parts may have been refused: a warning with their count, and the exit code.

    Args:
        refused: how many were.
        noun: `recording` or `song`.
        strict: whether one refusal makes the exit code 1.
        any_done: whether at least one was not refused.
    """
    if not refused:
        sys.exit(DONE)
    code = WRONG if not any_done else REFUSED if strict else DONE
    hint = "" if code else "; the exit code is 0 all the same (--strict makes it 1)"
    say(f"warning: {count(refused, noun)} refused{hint}", err=True)
    sys.exit(code)
