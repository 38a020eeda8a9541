"""What stops a command."""


class UserError(Exception):
    """The user's mistake, said in one clear message. Exit code 2."""
