"""Errors of a store. Each message says what was expected, what was found, where, and what to do."""

from __future__ import annotations

from ..common.errors import SvcError


class StoreError(SvcError):
    """Something is wrong with a store."""


class MissingError(StoreError, KeyError):
    """The store does not have it: an utterance, a column, or a cell without a receipt."""


class DamagedError(StoreError, ValueError):
    """Bytes on disk differ from the bytes that were written."""


class SettingsError(StoreError, ValueError):
    """A column was made with other settings than those asked for."""
