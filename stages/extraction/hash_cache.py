"""Hashes of files that have not changed since they were hashed, so that a run need not read a whole corpus again.

A hash is used while the file's size, times of change and inode are unchanged. The cache is kept for each corpus folder
in the user's cache of this machine (`XDG_CACHE_HOME`, or `~/.cache`); without it everything is hashed again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.files import cache_folder, write_whole
from .corpus_files import FileState, Source

MAGIC = b"svchash1"
STATE = ("size", "mtime_ns", "ctime_ns", "inode")
RECORD = np.dtype(
    [("key", "S16"), ("size", "<i8"), ("mtime_ns", "<i8"), ("ctime_ns", "<i8"), ("inode", "<i8"), ("sha256", "V32")]
)
SETTLED_NS = 2_000_000_000  # younger files may change again within one tick of the clock


class HashCache:
    """The known files of one corpus folder."""

    def __init__(self, root: Path):
        self.path = cache_folder("files") / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:24]}.bin"
        self._records = self._read()

    def known(self, path: str) -> Source | None:
        """The file's hash, if the file is unchanged since it was hashed. Raises AudioError if it is missing."""
        if not len(self._records):
            return None
        key = _key(path)
        at = int(np.searchsorted(self._records["key"], key))
        if at == len(self._records) or self._records["key"][at] != key.rstrip(b"\0"):
            return None
        record = self._records[at]
        state = FileState.of(Path(path))
        inode = (state.inode + 2**63) % 2**64 - 2**63
        if (state.size, state.mtime_ns, state.ctime_ns, inode) != tuple(int(record[name]) for name in STATE):
            return None
        return Source(path, bytes(record["sha256"]).hex(), state)

    def write(self, sources: Iterable[Source]) -> None:
        """Keep the hashes of these files, and of no others.

        If the cache cannot be written, they are hashed again next time.
        """
        latest = time.time_ns() - SETTLED_NS
        kept = [s for s in sources if max(s.state.mtime_ns, s.state.ctime_ns) < latest]
        records = np.zeros(len(kept), RECORD)
        for at, source in enumerate(kept):
            state = source.state
            inode = (state.inode + 2**63) % 2**64 - 2**63
            values = (state.size, state.mtime_ns, state.ctime_ns, inode)
            records[at] = (_key(source.path), *values, np.void(bytes.fromhex(source.sha256)))
        records = records[np.argsort(records["key"])]
        body = records.tobytes()
        try:
            write_whole(self.path, MAGIC + hashlib.sha256(body).digest() + body)
        except OSError:
            return

    def _read(self) -> NDArray[np.void]:
        try:
            data = self.path.read_bytes()
        except OSError:
            return np.zeros(0, RECORD)
        body = data[40:]
        if data[:8] != MAGIC or hashlib.sha256(body).digest() != data[8:40] or len(body) % RECORD.itemsize:
            return np.zeros(0, RECORD)
        return np.frombuffer(body, RECORD)


def _key(path: str) -> bytes:
    return hashlib.sha256(os.fsencode(path)).digest()[:16]
