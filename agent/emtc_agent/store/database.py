"""The SQLite file: opened, checked, and replaced when it is damaged, with what could still be read of it.

WAL with ``synchronous=NORMAL``: a killed process loses nothing that was committed; a power cut may lose the last
commits, never the file (sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from emtc_contract.errors import InputError

_LOG = logging.getLogger(__name__)
VERSION = 1
_TABLES = {
    "outbox": (
        "number INTEGER PRIMARY KEY AUTOINCREMENT, rank INTEGER NOT NULL, incident TEXT NOT NULL, "
        "replaces TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL, retain INTEGER NOT NULL, "
        "expires_s REAL NOT NULL, crc INTEGER NOT NULL"
    ),
    "incidents": "id TEXT PRIMARY KEY, record BLOB NOT NULL",
    "rules": "id TEXT PRIMARY KEY, record BLOB NOT NULL",
    "traffic": "day INTEGER PRIMARY KEY, bytes INTEGER NOT NULL",
    "facts": "name TEXT PRIMARY KEY, value REAL NOT NULL",
}
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS by_rank ON outbox (rank, number)",
    "CREATE INDEX IF NOT EXISTS by_incident ON outbox (incident) WHERE incident <> ''",
    "CREATE INDEX IF NOT EXISTS by_replaces ON outbox (replaces) WHERE replaces <> ''",
)
_SETTINGS = ("journal_mode=WAL", "synchronous=NORMAL", "journal_size_limit=1048576", "busy_timeout=2000")
_DAMAGE = ("malformed", "not a database", "encrypted", "no such table", "no such column", "not decode")
_KEEP_DAMAGED = 2
_CACHE_KIB = 512


class Database:
    """One connection, shared by threads under one lock.

    Time is counted while the agent runs, over restarts: a wall clock that jumps expires nothing.

    Args:
        path: The file; None keeps everything in memory.
        clock: Monotonic seconds.

    Attributes:
        damaged: Times the file was damaged and made anew since the start.

    Raises:
        InputError: The file cannot be opened or made, or is of a later version.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.damaged = 0
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            if path is None or not _is_damage(error):
                raise InputError(f"{path}: {error}") from None
            self._replace(error)
        self._started_s = clock()
        self._earlier_s = self.fact("running_s")

    def running_s(self) -> float:
        """Seconds that agents with this file have run."""
        return self._earlier_s + self._clock() - self._started_s

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of a block or nothing; a damaged file is replaced and the error raised on (``sqlite3.Error``)."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.DatabaseError):
                    self._answer(error)
                raise

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Result of a query; damage is answered as in ``transaction``."""
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as error:
                self._answer(error)
                raise

    def fact(self, name: str) -> float:
        """A number kept by name; 0 if there is none."""
        found = self.rows("SELECT value FROM facts WHERE name = ?", name)
        return float(found[0][0]) if found else 0.0

    def keep_time(self, connection: sqlite3.Connection) -> None:
        """Keep the time so far; within a transaction."""
        keep_fact(connection, "running_s", self.running_s())

    def close(self) -> None:
        """Keep the time and close."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            with self.transaction() as connection:
                self.keep_time(connection)
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = _connect(self._path)
        try:
            _require_sound(connection, self._path)
            for setting in (*_SETTINGS, f"cache_size=-{_CACHE_KIB}"):
                connection.execute(f"PRAGMA {setting}")
            for name, columns in _TABLES.items():
                connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) STRICT")
            for index in _INDEXES:
                connection.execute(index)
            connection.execute(f"PRAGMA user_version={VERSION}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _answer(self, error: sqlite3.DatabaseError) -> None:
        """Replace a damaged file; on a full disk give back what the log takes, so that deleting can go on."""
        if _is_damage(error):
            self._replace(error)
        elif "full" in str(error):
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _replace(self, error: sqlite3.DatabaseError) -> None:
        """Put the damaged file aside and go on with a new one that has all rows that can still be read."""
        self.damaged += 1
        _LOG.error("%s is damaged (%s); it is put aside and what can be read is taken over", self._path, error)
        with contextlib.suppress(AttributeError, sqlite3.Error):
            self._connection.close()
        if self._path is None:
            self._connection = self._open()
            return
        old = self._path.with_name(f"{self._path.name}.damaged-{self.damaged % _KEEP_DAMAGED}")
        for suffix in ("-wal", "-shm", ""):
            source, target = (Path(f"{path}{suffix}") for path in (self._path, old))
            target.unlink(missing_ok=True)
            if source.exists():
                source.replace(target)
        self._connection = self._open()
        for table in _TABLES:
            _LOG.warning("%s: %d rows of %s taken over", old, _take_over(old, table, self._connection), table)


def keep_fact(connection: sqlite3.Connection, name: str, value: float) -> None:
    """Keep a number by name."""
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def _connect(path: Path | None) -> sqlite3.Connection:
    if path is not None and not path.exists():
        with contextlib.suppress(OSError):
            path.touch(mode=0o640)
    # Autocommit: transactions are begun by hand, so that there is one place that ends them.
    return sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)


def _require_sound(connection: sqlite3.Connection, path: Path | None) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise InputError(f"{path}: was written by a later version of this program")
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("malformed")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is at fault, not the disk or a lock."""
    told = str(error)
    return any(
        word in told
        for word in ("malformed", "not a database", "encrypted", "no such table", "no such column", "not decode")
    )


def _take_over(old: Path, table: str, new: sqlite3.Connection) -> int:
    """Copy the rows of a table as far as they can be read; returns how many."""
    taken = 0
    with contextlib.suppress(sqlite3.Error), contextlib.closing(_connect(old)) as source:
        source.text_factory = lambda octets: octets.decode(errors="replace")
        for row in source.execute(f"SELECT * FROM {table}"):  # noqa: S608 (a name of ours)
            with contextlib.suppress(sqlite3.IntegrityError):  # also a row of another shape is no loss of the others
                marks = ",".join("?" * len(row))
                new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
                taken += 1
    return taken
