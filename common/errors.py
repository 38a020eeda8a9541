"""The root of every error that is meant for the user."""

from __future__ import annotations


class SvcError(Exception):
    """Something that a user can put right: `message` says what is wrong and where, `hint` what to do about it.

    The command line prints both and exits with code 2. Other exceptions are faults of the program.
    """

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message, *([hint] if hint else []))
        self.message, self.hint = message, hint

    def __str__(self) -> str:  # some errors also inherit KeyError, whose str() would quote the message
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UserError(SvcError):
    """A request of the user cannot be carried out as given."""
