"""What the link has carried, and how much may still go: on a metered link a gateway falls silent step by step."""

from __future__ import annotations

import enum
import logging
import socket
import sqlite3
from struct import unpack_from

from emtc_agent.store.database import Database

_LOG = logging.getLogger(__name__)
_DAYS = 30
_DAY_S = 86_400.0
_DIGESTS_FROM, _CRITICAL_FROM = 0.7, 0.9
_TCP_INFO = socket.TCP_INFO
_BYTES_AT, _SEGMENTS_AT = 120, 136  # tcpi_bytes_acked, tcpi_bytes_received (u64); tcpi_segs_out, tcpi_segs_in (u32)
_HEADERS_BYTES = 52
"""IPv4 and TCP with time stamps, per segment."""


class Level(enum.IntEnum):
    """What is still told; the number is the least severity of an alert that is sent by itself."""

    EVERYTHING = 0
    DIGESTS = 4
    CRITICAL = 5


class Traffic:
    """Counts bytes by days of running time: a wall clock that jumps opens no budget.

    Args:
        database: Where the days are kept.
        monthly_bytes: Budget of 30 days; None for no limit.
    """

    def __init__(self, database: Database, monthly_bytes: int | None = None) -> None:
        self._database = database
        self._limit = monthly_bytes
        self._days: dict[int, int] = dict(database.rows("SELECT day, bytes FROM traffic"))

    def change(self, monthly_bytes: int | None) -> None:
        """Keep to another budget from now on."""
        self._limit = monthly_bytes

    def add(self, size_bytes: int) -> None:
        """The link has carried so many more."""
        if size_bytes <= 0:
            return
        today = self._today()
        self._days[today] = self._days.get(today, 0) + size_bytes
        for day in [day for day in self._days if day <= today - _DAYS]:
            del self._days[day]
        try:
            with self._database.transaction() as connection:
                connection.execute("INSERT OR REPLACE INTO traffic VALUES (?, ?)", (today, self._days[today]))
                connection.execute("DELETE FROM traffic WHERE day <= ?", (today - _DAYS,))
        except sqlite3.Error as error:
            _LOG.warning("traffic: cannot be kept now: %s", error)

    @property
    def month_bytes(self) -> int:
        """Of the last 30 days."""
        first = self._today() - _DAYS
        return sum(size for day, size in list(self._days.items()) if day > first)

    @property
    def level(self) -> Level:
        """What may still be sent."""
        if self._limit is None:
            return Level.EVERYTHING
        share = self.month_bytes / max(self._limit, 1)
        if share >= _CRITICAL_FROM:
            return Level.CRITICAL
        return Level.DIGESTS if share >= _DIGESTS_FROM else Level.EVERYTHING

    def _today(self) -> int:
        return int(self._database.running_s() // _DAY_S)


def carried_bytes(channel: socket.socket) -> int:
    """Bytes that a TCP connection has put on the link in both directions, headers included (Linux, tcp(7))."""
    try:
        info = channel.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 256)
    except OSError:
        return 0
    if len(info) < _SEGMENTS_AT + 8:
        return 0
    acknowledged, received = unpack_from("=QQ", info, _BYTES_AT)
    sent, got = unpack_from("=II", info, _SEGMENTS_AT)
    return int(acknowledged + received + (sent + got) * _HEADERS_BYTES)
