"""One writer at a time without a lock of the operating system: an object that one process creates and must renew.

The owner writes a new beat into it every 15 seconds. A process that waits takes it over once it has seen the same beat
for a minute by its own clock, so that no two clocks need agree. What the service offers is used: creating only where
there is none, and on S3 also replacing only what was read (If-None-Match and If-Match of PutObject). For those that
ignore such conditions, every process reads the lock again a moment after taking it, and the last to write it has it.

Its limit: a writer that is suspended for over a minute between checking its lock and writing, and then continues, may
write once while another process has the lock. Cells tolerate this (a receipt has the sha256 of its shard); of two
corpus tables the later one remains.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import MissingError, StoreError


@dataclass(frozen=True)
class Pace:
    """In seconds.

    Attributes:
        beat: between two writes of the owner.
        stale: without a write, until another process may take the lock.
        look: between two reads of another's lock.
        settle: between taking the lock and reading it again.
    """

    beat: float = 15.0
    stale: float = 60.0
    look: float = 5.0
    settle: float = 1.0


class HeldObject:
    """A lock object in a store's folder, of this owner."""

    def __init__(self, path: str, where: str, filesystem: Any, ask: Callable[[], Any], pace: Pace):
        """`ask` is a context that turns the service's errors into MissingError and StoreError."""
        self.path, self.where, self.fs, self.ask, self.pace = path, where, filesystem, ask, pace
        self.owner = uuid.uuid4().hex
        self._beats = 0
        self._lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name=f"lock of {where}", daemon=True)

    def acquire(self, waiting: Callable[[], None]) -> None:
        """Wait until no live process holds the lock, then hold it. `waiting` is called once, before the first wait."""
        announced = False
        seen: bytes | None = None
        since = time.monotonic()
        while True:
            self._put(self._beat(), mode="create")
            found = self._read()  # the service's answer may have been lost, and the request repeated
            if found is not None and self._is_mine(found):
                if self._settled():
                    break
                continue
            if found is not None and not announced:
                waiting()
                announced = True
            if found != seen:
                seen, since = found, time.monotonic()
            elif found is not None and time.monotonic() - since > self.pace.stale and self._replace(found):
                if self._settled():
                    break
                seen = None
            time.sleep(self.pace.look)
        self._thread.start()

    def check(self) -> None:
        """Raises StoreError once another has the lock."""
        if not self._lost:
            found = self._read()
            self._lost = found is None or not self._is_mine(found)
        if self._lost:
            raise StoreError(
                f"another writer has taken over {self.where}, as this one did not renew its lock for "
                f"{self.pace.stale:.0f} s; nothing is broken: run the same again"
            )

    def release(self) -> None:
        """Release the lock, if it is still held. If the service cannot be reached, the lock is stale after a minute."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(self.pace.stale)
        with contextlib.suppress(StoreError):
            found = self._read()
            if found is not None and self._is_mine(found):
                with self.ask():
                    self.fs.rm_file(self.path)

    def _keep_beating(self) -> None:
        while not self._stop.wait(self.pace.beat):
            with contextlib.suppress(StoreError):  # if the service cannot be reached, the next beat tries again
                found = self._read()
                if found is None or not self._is_mine(found):
                    self._lost = True
                    return
                self._replace(found)

    def _beat(self) -> bytes:
        self._beats += 1
        beat = {"owner": self.owner, "beat": self._beats, "host": socket.gethostname(), "process": os.getpid()}
        return json.dumps(beat).encode()

    def _is_mine(self, content: bytes) -> bool:
        return self.owner.encode() in content

    def _settled(self) -> bool:
        """Whether the lock just taken is still this owner's a moment later."""
        time.sleep(self.pace.settle)
        found = self._read()
        return found is not None and self._is_mine(found)

    def _read(self) -> bytes | None:
        try:
            with self.ask():
                return bytes(self.fs.cat_file(self.path))
        except MissingError:
            return None

    def _replace(self, found: bytes) -> bool:
        """Replace the lock that was read by one with a new beat, unless it has changed."""
        if "s3" not in self.fs.protocol:
            return self._read() == found and self._put(self._beat())
        try:
            with self.ask():
                tag = self.fs.info(self.path)["ETag"]
        except MissingError:
            return False
        return self._read() == found and self._put(self._beat(), IfMatch=tag)

    def _put(self, beat: bytes, **condition: str) -> bool:
        """Write the lock; False when its condition does not hold."""
        with self.ask():
            try:
                self.fs.pipe_file(self.path, beat, **condition)
            except FileExistsError:
                return False
            except OSError as error:
                reason = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code")
                if reason in ("PreconditionFailed", "ConditionalRequestConflict"):
                    return False
                raise
        return True
