"""The store of a sweep: results by content address, appended in transactions that outlive a kill and a power cut.

SQLite in write-ahead mode, one writer: a transaction is on the disk whole or not at all, the index of a hundred
thousand results stays on the disk, and a full disk rolls back instead of tearing a line. Every row carries a checksum
of its own: one that does not fit is a result that was never recorded.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simulator.contracts.runner import Outcome, Point
from simulator.core.errors import ConfigError

_FILE = "results.sqlite"
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY, failed INTEGER NOT NULL, payload TEXT NOT NULL, cpu_s REAL NOT NULL, crc INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS plan (
    ordinal INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, config INTEGER NOT NULL, point TEXT NOT NULL
);
"""
_FULL = "database or disk is full"

Status = Literal["new", "done", "failed"]


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A point of this sweep with its recorded outcome; `content` is the payload's object."""

    ordinal: int
    config: int
    values: tuple[Any, ...]
    failed: bool
    content: dict[str, Any]
    cpu_s: float


class ResultStore:
    """Results in a folder, for one sweep process at a time."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder

    @classmethod
    def open(cls, folder: Path) -> ResultStore:
        """Open the store of a folder, made where it is absent.

        Raises ConfigError where another sweep uses it, where it cannot be written, or where it is no store.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error.strerror or str(error)) from None
        connection = sqlite3.connect(folder / _FILE, timeout=0.5, isolation_level=None)
        store = cls(connection, folder)
        try:
            with store._told():
                # Exclusive: one writer, no shared memory file, and the lock goes with the process that holds it.
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                store._check_format()
                connection.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA.split(";")[:-1]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
                connection.execute("DELETE FROM plan")
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return store

    def close(self) -> None:
        """Record what is planned and leave the folder to others."""
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def plan(self, point: Point) -> bool:
        """Note a point of this sweep; False where one with the same result is noted already."""
        with self._told():
            self._begin()
            row = (point.ordinal, point.key, point.config, json.dumps(point.values))
            cursor = self._connection.execute("INSERT OR IGNORE INTO plan VALUES (?, ?, ?, ?)", row)
            return cursor.rowcount == 1

    def status(self, key: str) -> Status:
        """Whether the result of this address is recorded, and as what."""
        with self._told():
            query = "SELECT failed, payload, crc FROM results WHERE key = ?"
            row = self._connection.execute(query, (key,)).fetchone()
        if row is None or _checksum(row[1]) != row[2]:
            return "new"
        return "failed" if row[0] else "done"

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes durably: when this returns, no kill and no power cut takes them away.

        Raises ConfigError where the disk is full; the results recorded before stay.
        """
        with self._told():
            self._begin()
            self._connection.executemany(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)",
                [(one.key, one.failed, one.payload, one.cpu_s, _checksum(one.payload)) for one in outcomes],
            )
            self._connection.execute("COMMIT")

    def points(self) -> Iterator[StoredPoint]:
        """The points of this sweep that have an outcome, in the sweep's order, read as they are asked for."""
        query = (
            "SELECT ordinal, config, point, failed, payload, cpu_s, crc FROM plan JOIN results USING (key) "
            "ORDER BY ordinal"
        )
        with self._told():
            for ordinal, config, point, failed, payload, cpu_s, crc in self._connection.execute(query):
                if _checksum(payload) == crc:
                    values = tuple(json.loads(point))
                    yield StoredPoint(ordinal, config, values, bool(failed), json.loads(payload), cpu_s)

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def _check_format(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _FORMAT):
            raise ConfigError(
                "the results kept here were written by another version of the simulator",
                where=str(self._folder),
                remedy="remove this folder; its points will be run again",
            )

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the database in the user's words."""
        try:
            yield
        except sqlite3.OperationalError as error:
            self._roll_back()
            if "locked" in str(error):
                raise ConfigError(
                    "another sweep is at work on these results",
                    where=str(self._folder),
                    remedy="wait for it, or name another place with --out",
                ) from None
            raise _unwritable(self._folder, "the disk is full" if _FULL in str(error) else str(error)) from None
        except sqlite3.DatabaseError as error:
            self._roll_back()
            raise ConfigError(
                f"the results kept here cannot be read: {error}",
                where=str(self._folder),
                remedy="remove this folder; its points will be run again",
            ) from None

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.rollback()


def _checksum(payload: str) -> int:
    return zlib.crc32(payload.encode())


def _unwritable(folder: Path, cause: str) -> ConfigError:
    return ConfigError(
        f"results cannot be recorded: {cause}",
        where=str(folder),
        remedy="free the disk and give the same command again: it goes on from the results recorded so far",
    )
