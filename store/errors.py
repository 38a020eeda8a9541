"""What can be wrong with a store. Each message says what was expected, what was found, where, and what to do."""


class StoreError(Exception):
    """Something is wrong with a store."""

    def __str__(self) -> str:  # KeyError would quote the message
        return str(self.args[0]) if self.args else ""


class MissingError(StoreError, KeyError):
    """What was asked for is not in the store: an utterance, a column, or a cell without a receipt."""


class DamagedError(StoreError, ValueError):
    """Bytes on disk are not the bytes that were written."""


class SettingsError(StoreError, ValueError):
    """A column was made with other settings than those asked for."""
