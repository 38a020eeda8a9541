"""Persistent data: records, jobs and settings in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)

SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, id TEXT NOT NULL, parent TEXT, made REAL NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS records_of ON records (kind, parent, made);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Database:
    """Records are pydantic models, kept as JSON under a kind and an id, each with a parent that it is listed by.

    One connection is shared by all threads under a lock. Every write is committed before the call returns (write-ahead
    log, synchronous), so the data of every answer is on disk.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, timeout=10, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several writes that are kept together or not at all."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def put(self, kind: str, id: str, record: BaseModel, parent: str | None = None) -> None:
        """Write a record; one that is there keeps its place in the order."""
        with self._lock:
            self._connection.execute(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, parent = excluded.parent",
                (kind, id, parent, time.time(), record.model_dump_json()),
            )

    def get(self, kind: str, id: str, model: type[Model]) -> Model | None:
        """A record by its kind and id; None where there is none."""
        with self._lock:
            row = self._connection.execute("SELECT body FROM records WHERE kind = ? AND id = ?", (kind, id)).fetchone()
        return model.model_validate_json(row[0]) if row else None

    def all(self, kind: str, model: type[Model], parent: str | None = None) -> list[Model]:
        """Records of a kind (of one parent), oldest first."""
        wanted, values = ("kind = ? AND parent = ?", (kind, parent)) if parent else ("kind = ?", (kind,))
        with self._lock:
            rows = self._connection.execute(
                f"SELECT body FROM records WHERE {wanted} ORDER BY made, rowid", values
            ).fetchall()
        return [model.model_validate_json(row[0]) for row in rows]

    def count(self, kind: str, parent: str | None = None) -> int:
        """How many records of a kind there are, of one parent where it is given."""
        wanted, values = ("kind = ? AND parent = ?", (kind, parent)) if parent else ("kind = ?", (kind,))
        with self._lock:
            return int(self._connection.execute(f"SELECT count(*) FROM records WHERE {wanted}", values).fetchone()[0])

    def delete(self, kind: str, id: str) -> None:
        """Delete a record, if it is there."""
        with self._lock:
            self._connection.execute("DELETE FROM records WHERE kind = ? AND id = ?", (kind, id))

    def delete_of(self, kind: str, parent: str) -> None:
        """Delete all records of a kind that have this parent."""
        with self._lock:
            self._connection.execute("DELETE FROM records WHERE kind = ? AND parent = ?", (kind, parent))

    def settings(self) -> dict[str, Any]:
        """The user's settings by name."""
        with self._lock:
            rows = self._connection.execute("SELECT name, value FROM settings").fetchall()
        return {name: json.loads(value) for name, value in rows}

    def set(self, values: dict[str, Any]) -> None:
        """Store settings; others stay."""
        with self._lock:
            self._connection.executemany(
                "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [(name, json.dumps(value)) for name, value in values.items()],
            )
