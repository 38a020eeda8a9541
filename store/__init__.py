"""The unit store: features of a corpus, in columns, with checksums and receipts.

Rows are packs of utterances, columns are features, and each cell is one zarr v3 shard that counts once its receipt
exists. Opening one needs no torch:

    from svc.store import open_store
    store = open_store("voices.zarr")
"""

from .errors import DamagedError, MissingError, SettingsError, StoreError
from .reader import Clip, Store, open_store

__all__ = ["Clip", "DamagedError", "MissingError", "SettingsError", "Store", "StoreError", "open_store"]
