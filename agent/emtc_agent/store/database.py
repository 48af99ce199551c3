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
_SETTINGS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "journal_size_limit=1048576",
    "busy_timeout=100",  # memory takes over what cannot be written at once
    "wal_autocheckpoint=0",  # `checkpoint` does it beside the capture
)
_NEW_NUMBERS, _MEMORY_NUMBERS = 1 << 40, 1 << 60
_DAMAGE = ("malformed", "not a database", "encrypted", "no such table", "no such column")
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
        detached: Whether everything is in memory although there is a file, because that cannot be used now (the disk
            is full, or read-only). ``attach`` tries again.

    Raises:
        InputError: There is no such folder, or the file is of a later version.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.damaged = 0
        self.detached = False
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{path.parent}: is no folder")
        self._connection = self._open_somehow()
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
                with _told_in_text():
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
        """Result of a query; a damaged file is replaced, and asked once more."""
        with self._lock:
            try:
                with _told_in_text():
                    return self._connection.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as error:
                self._answer(error)
                return self._connection.execute(sql, values).fetchall()

    def fact(self, name: str) -> float:
        """A number kept by name; 0 if there is none."""
        with self._lock:
            return _fact(self._connection, name)

    def keep_time(self, connection: sqlite3.Connection) -> None:
        """Keep the time so far; within a transaction."""
        keep_fact(connection, "running_s", self.running_s())

    def close(self) -> None:
        """Keep the time and close."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            with self.transaction() as connection:
                self.keep_time(connection)
            self._connection.close()

    def attach(self) -> None:
        """Go back to the file, if it can be used again, with all that came meanwhile."""
        with self._lock:
            if not self.detached:
                return
            try:
                found = self._open(self._path)
            except (sqlite3.Error, OSError) as error:
                _LOG.warning("%s: still cannot be used: %s", self._path, error)
                return
            earlier_s = _fact(found, "running_s")
            self._connection.execute("UPDATE outbox SET expires_s = expires_s + ?", (earlier_s,))
            for table in _TABLES:
                _copy(self._connection, table, found, "IGNORE" if table == "facts" else "REPLACE")
            self._earlier_s += earlier_s
            self._connection.close()
            self._connection, self.detached = found, False
            _LOG.warning("%s is used again", self._path)

    def checkpoint(self) -> None:
        """Write the log into the file. Takes a connection of its own, so that nobody waits for the disk meanwhile."""
        if self._path is None or self.detached:
            return
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_connect(self._path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _open_somehow(self) -> sqlite3.Connection:
        """The file; a new one with its rows if it is damaged; memory if it cannot be used now."""
        try:
            return self._open(self._path)
        except sqlite3.DatabaseError as error:
            if self._path is None:
                raise
            if _is_damage(error):
                return self._renewed(error)
            return self._in_memory(error)

    def _in_memory(self, error: Exception) -> sqlite3.Connection:
        _LOG.error("%s cannot be used (%s); everything is kept in memory until it can", self._path, error)
        self.detached = True
        connection = self._open(None)
        _begin_at(connection, _MEMORY_NUMBERS)
        return connection

    def _open(self, path: Path | None) -> sqlite3.Connection:
        connection = _connect(path)
        try:
            _require_sound(connection, path)
            for setting in (*_SETTINGS, f"cache_size=-{_CACHE_KIB}"):
                connection.execute(f"PRAGMA {setting}")
            for name, columns in _TABLES.items():
                connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) STRICT")
            for index in _INDEXES:
                connection.execute(index)
            if connection.execute("PRAGMA user_version").fetchone() != (VERSION,):
                connection.execute(f"PRAGMA user_version={VERSION}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _answer(self, error: sqlite3.DatabaseError) -> None:
        """Replace a damaged file; on a full disk give back what the log takes, so that deleting can go on."""
        if _is_damage(error):
            with contextlib.suppress(AttributeError, sqlite3.Error):
                self._connection.close()
            self._connection = self._renewed(error)
        elif "full" in str(error):
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _renewed(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        """Put the damaged file aside and go on with a new one that has all rows that can still be read."""
        self.damaged += 1
        if self._path is None:
            return self._open(None)
        _LOG.error("%s is damaged (%s); it is put aside and what can be read is taken over", self._path, error)
        old = self._path.with_name(f"{self._path.name}.damaged-{self.damaged % _KEEP_DAMAGED}")
        try:
            _put_aside(self._path, old)
            connection = self._open(self._path)
        except (sqlite3.Error, OSError) as failure:
            return self._in_memory(failure)
        for table in _TABLES:
            _LOG.warning("%s: %d rows of %s taken over", old, _take_over(old, table, connection), table)
        _begin_at(connection, self.damaged * _NEW_NUMBERS)
        return connection


def _fact(connection: sqlite3.Connection, name: str) -> float:
    found = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return float(found[0]) if found else 0.0


def keep_fact(connection: sqlite3.Connection, name: str, value: float) -> None:
    """Keep a number by name."""
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def _connect(path: Path | None) -> sqlite3.Connection:
    if path is not None and not path.exists():
        with contextlib.suppress(OSError):
            path.touch(mode=0o640)
    # Autocommit: transactions are begun by hand, so that there is one place that ends them.
    connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    connection.text_factory = lambda octets: octets.decode(errors="replace")  # damage is no reason to fail here
    return connection


@contextlib.contextmanager
def _told_in_text() -> Iterator[None]:
    """Damage may be told in words that are damaged, too; sqlite3 then fails to decode its own error."""
    try:
        yield
    except UnicodeDecodeError:
        raise sqlite3.DatabaseError("malformed") from None


def _require_sound(connection: sqlite3.Connection, path: Path | None) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise InputError(f"{path}: was written by a later version of this program")
    with _told_in_text():
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("malformed")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is at fault, not the disk or a lock."""
    return any(words in str(error) for words in _DAMAGE)


def _put_aside(path: Path, old: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        source, target = Path(f"{path}{suffix}"), Path(f"{old}{suffix}")
        target.unlink(missing_ok=True)
        if source.exists():
            source.replace(target)


def _begin_at(connection: sqlite3.Connection, number: int) -> None:
    """Number further messages from here, so that no number of an earlier file comes again."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    if found is None:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)", (number,))
    else:
        connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'outbox'", (number,))


def _take_over(old: Path, table: str, new: sqlite3.Connection) -> int:
    """Copy the rows of a damaged table as far as they can be read, from both ends; returns how many."""
    taken = 0
    with contextlib.suppress(sqlite3.Error), contextlib.closing(_connect(old)) as source:
        for order in ("ASC", "DESC"):
            taken += _copy(source, table, new, "IGNORE", order)
    return taken


def _copy(source: sqlite3.Connection, table: str, new: sqlite3.Connection, otherwise: str, order: str = "ASC") -> int:
    """Copy rows until one cannot be read; what does not fit is left out. Returns how many."""
    copied = 0
    with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
        for row in source.execute(f"SELECT * FROM {table} ORDER BY rowid {order}"):  # noqa: S608 (names of ours)
            with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
                marks = ",".join("?" * len(row))
                sql = f"INSERT OR {otherwise} INTO {table} VALUES ({marks})"  # noqa: S608
                copied += new.execute(sql, row).rowcount
    return copied
