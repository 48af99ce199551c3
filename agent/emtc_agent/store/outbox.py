"""Messages on their way to the broker: on disk until it has acknowledged them.

The most severe go first, then the oldest; those of one incident always in their order. While they wait, an update
gives way to a later one of its incident. What is too old, or finds no room, is dropped, the least severe first, and
counted.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from emtc_agent.store.database import Database

_LOG = logging.getLogger(__name__)
_OVERHEAD_BYTES = 64
"""What a message takes besides its topic and payload."""
_SIZE = f"length(payload) + length(topic) + {_OVERHEAD_BYTES}"
_MOST_UNSAVED = 1_024


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """Limits.

    Attributes:
        max_bytes: Of all that waits.
    """

    max_bytes: int = 8 << 20


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send.

    Attributes:
        topic: Where to.
        payload: What.
        severity: 1 to 5; the higher goes first and is kept longer.
        lifetime_s: Running time after which it is not worth sending any more.
        incident: Messages of one incident keep their order.
        replaces: A waiting message with the same text here gives way; empty for none.
        retain: Whether the broker keeps it.
    """

    topic: str
    payload: bytes
    severity: int
    lifetime_s: float
    incident: str = ""
    replaces: str = ""
    retain: bool = False

    @property
    def size_bytes(self) -> int:
        """Room it takes."""
        return len(self.payload) + len(self.topic) + _OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that waits; ``expires_in_s`` from now."""

    number: int
    topic: str
    payload: bytes
    severity: int
    retain: bool
    expires_in_s: float


class Outbox:
    """The queue.

    Args:
        database: Where it is kept.
        config: Limits.

    Attributes:
        expired, crowded_out, coalesced: Messages that were dropped because they were too old, found no room, or gave
            way to a later one.
        garbled: Messages that were dropped because damage to the file had changed them.
    """

    def __init__(self, database: Database, config: OutboxConfig | None = None) -> None:
        self.expired = self.crowded_out = self.coalesced = self.garbled = 0
        self._database = database
        self._config = config or OutboxConfig()
        self._lock = threading.RLock()  # the main loop puts, the link takes
        self._in_flight: set[int] = set()
        self._done: set[int] = set()  # acknowledged, but still on disk
        self._held: set[str] = set()  # incidents of which a message was refused
        # What cannot be written yet: messages by negative numbers, and the latest records of incidents.
        self._unsaved: dict[int, Outgoing] = {}
        self._unsaved_incidents: dict[str, bytes | None] = {}
        self._saved_as: dict[int, int] = {}  # negative numbers of messages in flight that are on disk by now
        self._last_unsaved = 0
        self._size_bytes = 0
        self._size_bytes = self._measure()

    @property
    def unsaved(self) -> int:
        """Messages in memory only, because they cannot be written (the disk is full, or read-only)."""
        return len(self._unsaved)

    @property
    def size_bytes(self) -> int:
        """Of all that waits on disk."""
        return self._size_bytes

    def __len__(self) -> int:
        with self._lock:
            return int(self._asked("SELECT count(*) FROM outbox", 0)) + len(self._unsaved)

    def change(self, config: OutboxConfig) -> None:
        """Keep other limits from the next message on."""
        self._config = config

    def put(self, messages: Iterable[Outgoing], incidents: Mapping[str, bytes | None] | None = None) -> None:
        """Take messages, and in the same transaction keep (or with None forget) the records of incidents.

        Never fails: what cannot be written waits in memory, and is sent from there.
        """
        with self._lock:
            for message in messages:
                self._last_unsaved -= 1
                self._unsaved[self._last_unsaved] = message
            while len(self._unsaved) > _MOST_UNSAVED:
                del self._unsaved[next(iter(self._unsaved))]
                self.crowded_out += 1
            self._unsaved_incidents |= incidents or {}
            self.save()

    def save(self) -> None:
        """Write what waits in memory, all of it or nothing."""
        with self._lock:
            if not self._unsaved and not self._unsaved_incidents:
                return
            try:
                self._write()
            except sqlite3.Error as error:
                _LOG.warning("outbox: cannot write %d message(s) now: %s", self.unsaved, error)
                return
            self._unsaved.clear()
            self._unsaved_incidents.clear()

    def next(self, most: int, least_severity: int = 0) -> list[Queued]:
        """The next messages to send, at most ``most``; each only once until ``delivered`` or ``release``."""
        with self._lock:
            chosen = self._next_saved(most, least_severity)
            chosen += self._next_unsaved(most - len(chosen), least_severity)
            self._in_flight.update(one.number for one in chosen)
            return chosen

    def _next_saved(self, most: int, least_severity: int) -> list[Queued]:
        now_s = self._database.running_s()
        try:
            found = self._database.rows(
                "SELECT number, topic, payload, rank, retain, expires_s, crc, incident FROM outbox WHERE rank >= ? "
                "ORDER BY rank DESC, number LIMIT ?",
                least_severity,
                most + len(self._in_flight),
            )
        except sqlite3.Error as error:
            _LOG.error("outbox: cannot be read now: %s", error)
            return []
        garbled = {number for number, topic, payload, *_, crc, incident in found if crc != _crc(topic, payload)}
        self._drop_garbled(garbled)
        return [
            Queued(number, topic, payload, rank, bool(retain), expires_s - now_s)
            for number, topic, payload, rank, retain, expires_s, _, incident in found
            if number not in self._in_flight
            and number not in garbled
            and incident not in self._held
            and expires_s > now_s
        ][:most]

    def _drop_garbled(self, numbers: set[int]) -> None:
        """What damage to the file has changed is not sent."""
        garbled = numbers - self._done
        self.garbled += len(garbled)
        self.delivered(garbled)

    def _next_unsaved(self, most: int, least_severity: int) -> list[Queued]:
        """From memory, in the order of their coming; they are later than all on disk."""
        waiting = (
            Queued(number, one.topic, one.payload, one.severity, one.retain, one.lifetime_s)
            for number, one in self._unsaved.items()
            if number not in self._in_flight and one.severity >= least_severity and one.incident not in self._held
        )
        return list(islice(waiting, max(most, 0)))

    def delivered(self, numbers: Collection[int]) -> None:
        """The broker has acknowledged them.

        As long as that cannot be written they are only remembered: a restart would send them again, which is allowed.
        """
        with self._lock:
            for number in numbers:
                self._in_flight.discard(number)
                if number < 0 and self._unsaved.pop(number, None) is not None:
                    continue
                saved = self._saved_as.pop(number, number)
                if saved > 0:
                    self._done.add(saved)
                    self._in_flight.add(saved)
            self._forget_done()

    def _forget_done(self) -> None:
        if not self._done:
            return
        try:
            with self._database.transaction() as connection:
                self._size_bytes -= _delete(connection, self._done)[1]
        except sqlite3.Error as error:
            _LOG.warning("outbox: cannot note %d delivered message(s) now: %s", len(self._done), error)
            return
        self._in_flight.difference_update(self._done)
        self._done.clear()

    def hold(self, number: int) -> None:
        """The broker refused a message: hold its incident back, so that it stays in order."""
        with self._lock:
            number = self._saved_as.pop(number, number)
            if number in self._unsaved:
                incident = self._unsaved[number].incident
            else:
                incident = str(self._asked("SELECT incident FROM outbox WHERE number = ?", "", number))
            if incident:
                self._held.add(incident)
                self._in_flight.discard(number)

    def retry_refused(self) -> None:
        """Give the incidents again of which a message was refused."""
        self._held.clear()

    def checkpoint(self) -> None:
        """Bring the file up to date, beside everything else."""
        self._database.checkpoint()

    def release(self, numbers: Collection[int] | None = None) -> None:
        """What was sent but not acknowledged (all of it, if None, and what was refused) is given again."""
        with self._lock:
            if numbers is not None:
                self._in_flight -= {self._saved_as.pop(number, number) for number in numbers} - self._done
                self._in_flight.difference_update(numbers)
                return
            self._held.clear()
            self._saved_as.clear()
            self._in_flight = set(self._done)

    def expire(self) -> None:
        """Drop what is too old, keep the running time, and try again what could not be written. Call every minute."""
        with self._lock:
            self._database.attach()
            self._forget_done()
            self.save()
            try:
                with self._database.transaction() as connection:
                    now_s = self._database.running_s()
                    self.expired += connection.execute("DELETE FROM outbox WHERE expires_s <= ?", (now_s,)).rowcount
                    self._database.keep_time(connection)
            except sqlite3.Error as error:
                _LOG.warning("outbox: cannot be tidied now: %s", error)
            self._size_bytes = self._measure()

    def _write(self) -> None:
        coalesced = crowded_out = 0
        size_bytes = self._size_bytes
        saved_as = {}
        with self._database.transaction() as connection:
            for unsaved, message in self._unsaved.items():
                number, freed_bytes = self._make_way(connection, message)
                saved_as[unsaved] = self._insert(connection, message)
                coalesced += number
                size_bytes += message.size_bytes - freed_bytes
            for incident, record in self._unsaved_incidents.items():
                _keep_incident(connection, incident, record)
            if size_bytes > self._config.max_bytes:
                crowded_out, freed_bytes = self._make_room(connection, size_bytes - self._config.max_bytes)
                size_bytes -= freed_bytes
        self.coalesced += coalesced
        self.crowded_out += crowded_out
        self._size_bytes = size_bytes
        for unsaved in self._in_flight & saved_as.keys():
            self._saved_as[unsaved] = saved_as[unsaved]
            self._in_flight.add(saved_as[unsaved])

    def _make_way(self, connection: sqlite3.Connection, message: Outgoing) -> tuple[int, int]:
        """Drop what the message replaces, unless it is being sent; returns how many and their bytes."""
        if not message.replaces:
            return 0, 0
        found = connection.execute("SELECT number FROM outbox WHERE replaces = ?", (message.replaces,)).fetchall()
        return _delete(connection, {number for (number,) in found} - self._in_flight)

    def _insert(self, connection: sqlite3.Connection, message: Outgoing) -> int:
        rank = message.severity
        if message.incident:
            # All of an incident rank alike, so that they stay in order when a later one is more severe.
            (highest,) = connection.execute(
                "SELECT max(rank) FROM outbox WHERE incident = ?", (message.incident,)
            ).fetchone()
            if highest is not None and rank > highest:
                connection.execute("UPDATE outbox SET rank = ? WHERE incident = ?", (rank, message.incident))
            rank = max(rank, highest or 0)
        expires_s = self._database.running_s() + message.lifetime_s
        made = connection.execute(
            "INSERT INTO outbox VALUES (NULL,?,?,?,?,?,?,?,?)",
            (
                rank,
                message.incident,
                message.replaces,
                message.topic,
                message.payload,
                int(message.retain),
                expires_s,
                _crc(message.topic, message.payload),
            ),
        )
        return int(made.lastrowid or 0)

    def _make_room(self, connection: sqlite3.Connection, over_bytes: int) -> tuple[int, int]:
        """Drop the least severe, of these what can be said again (updates), of these the oldest."""
        found = connection.execute(f"SELECT number, {_SIZE} FROM outbox ORDER BY rank, replaces = '', number")  # noqa: S608
        gone = set()
        for number, size_bytes in found:
            if over_bytes <= 0:
                break
            if number not in self._in_flight:
                over_bytes -= size_bytes
                gone.add(number)
        return _delete(connection, gone)

    def _measure(self) -> int:
        sql = f"SELECT coalesce(sum({_SIZE}), 0) FROM outbox"  # noqa: S608 (names of ours)
        return int(self._asked(sql, self._size_bytes))

    def _asked(self, sql: str, otherwise: int | str, *values: object) -> int | str:
        """One value, or another if there is none or it cannot be read now."""
        try:
            found = self._database.rows(sql, *values)
        except sqlite3.Error as error:
            _LOG.error("outbox: cannot be read now: %s", error)
            return otherwise
        return found[0][0] if found else otherwise


def _delete(connection: sqlite3.Connection, numbers: Collection[int]) -> tuple[int, int]:
    """Delete messages; returns how many there were and their bytes."""
    sql = f"DELETE FROM outbox WHERE number = ? RETURNING {_SIZE}"  # noqa: S608
    sizes = [size for number in numbers for (size,) in connection.execute(sql, (number,)).fetchall()]
    return len(sizes), sum(sizes)


def _crc(topic: str, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(topic.encode()))


def _keep_incident(connection: sqlite3.Connection, incident: str, record: bytes | None) -> None:
    if record is None:
        connection.execute("DELETE FROM incidents WHERE id = ?", (incident,))
    else:
        connection.execute("INSERT OR REPLACE INTO incidents VALUES (?, ?)", (incident, record))
