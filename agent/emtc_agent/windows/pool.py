"""Packets side by side, and the records of open windows: what a window needs to know about each of its packets."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from emtc_agent.packets import Bool, Int32, Int64, UInt8, UInt16, UInt32, UInt64


@dataclass(frozen=True, slots=True)
class Pool:
    """Structure of arrays over P packets; every array has shape (P,), or (P, 2) for pairs.

    A pair has a value for the receiver's record and one for the sender's: of addresses and ports, that of the other
    side (the packet's source, then its destination).

    Attributes:
        clock_us: Stream time.
        ts_us: Capture time.
        position: Position in the stream.
        size: Network-layer length, bytes, at most 262,143.
        traits: Pairs; see ``traits.py``.
        address_hi, address_lo: Pairs.
        remote: Pairs; what tells the other side's address from others, see ``remotes.py``.
        port: Pairs.
        service: ``IP protocol << 16 | port``, the port that names the service.
        ttl: TTL or hop limit.
        dns_id, dns_name_len: See ``Hints``.
        arp_mac: Sender hardware address inside ARP.
        teid: GTP-U tunnel.
    """

    clock_us: Int64
    ts_us: Int64
    position: Int64
    size: Int32
    traits: UInt64
    address_hi: UInt64
    address_lo: UInt64
    remote: UInt64
    port: UInt16
    service: UInt32
    ttl: UInt8
    dns_id: UInt16
    dns_name_len: UInt8
    arp_mac: UInt64
    teid: UInt32


_ENOUGH = 65_536
"""Packets up to which the pool fills before open ones are moved; more memory would only make it touch more."""
_NAMES = tuple(field.name for field in fields(Pool))
_PAIRS = {"traits", "address_hi", "address_lo", "remote", "port"}
_DTYPES: dict[str, type] = {
    **dict.fromkeys(("clock_us", "ts_us", "position"), np.int64),
    **dict.fromkeys(("traits", "address_hi", "address_lo", "remote", "arp_mac"), np.uint64),
    **dict.fromkeys(("service", "teid"), np.uint32),
    **dict.fromkeys(("port", "dns_id"), np.uint16),
    **dict.fromkeys(("ttl", "dns_name_len"), np.uint8),
    "size": np.int32,
}


class View:
    """Some records of a pool, gathered column by column when asked for.

    Args:
        pool: All packets.
        side: (R,) whose record of which of them: ``2 * packet + 1`` the sender's, ``2 * packet`` the receiver's.
    """

    def __init__(self, pool: Pool, side: Int64) -> None:
        self.side = side
        self._pool = pool

    def __len__(self) -> int:
        return len(self.side)

    @cached_property
    def packet(self) -> Int64:
        """(R,) the packets."""
        return self.side >> 1

    def at(self, where: Int64 | Bool) -> View:
        """The records at these positions of this view."""
        return View(self._pool, self.side[where])

    def column(self, name: str) -> Any:
        """(R,) a column of ``Pool``, of pairs the record's value; a fresh array."""
        column = getattr(self._pool, name)
        return column.reshape(-1).take(self.side) if name in _PAIRS else column.take(self.packet)

    def own(self, name: str) -> Any:
        """(R,) of a column of pairs, the endpoint's own value; a fresh array."""
        return getattr(self._pool, name).reshape(-1).take(self.side ^ 1)

    def source(self, name: str) -> Any:
        """(R,) of a column of pairs, the value of the packet's source; a fresh array."""
        return getattr(self._pool, name)[self.packet, 0]


class OpenWindows:
    """The records of windows that are not closed yet: at most ``packets - 1`` per slot.

    New packets are put into a pool of fixed size, where those of open windows stay. Only now and then the open ones
    move to its front, so a packet is copied a few times at most, however small the batches.

    Args:
        slots: Endpoint slots.
        packets: Packets of a full window.
        most_new: Most packets of a batch.

    Attributes:
        count: (slots,) open records of each slot.
    """

    def __init__(self, slots: int, packets: int, most_new: int) -> None:
        self.count = np.zeros(slots, np.int64)
        self._side = np.zeros((slots, packets), np.int64)  # as in ``View``, in order of time
        self._column = np.arange(packets)
        size = slots * (packets - 1) + most_new
        self._pool = Pool(*(np.zeros((size, 2) if name in _PAIRS else size, _DTYPES[name]) for name in _NAMES))
        self._size = size
        self._begin = self._fill = 0

    def room(self, packets: int) -> Pool:
        """Where the packets of the next ``merge`` are to be written."""
        if self._fill + packets > min(_ENOUGH, self._size):
            self._compact()
        self._begin, self._fill = self._fill, self._fill + packets
        return Pool(*(getattr(self._pool, name)[self._begin : self._fill] for name in _NAMES))

    def merge(self, slots: Int64, side: Int64, count: Int64) -> tuple[View, Int64]:
        """Slot by slot, the open records followed by new ones.

        Args:
            slots: (G,) slots, all different.
            side: New records, ``count[g]`` for each slot in turn; as in ``View``, over the last ``room``.
            count: (G,) new records of each slot.

        Returns:
            The records, and (G,) where each slot's begin.
        """
        open_count = self.count[slots]
        total = open_count + count
        both = np.stack([open_count, count], axis=1).reshape(-1)
        is_new = np.repeat(np.tile([False, True], len(slots)), both)
        merged = np.empty(len(is_new), np.int64)
        merged[~is_new] = self._open_sides(slots)
        merged[is_new] = side + 2 * self._begin
        return View(self._pool, merged), np.cumsum(total) - total

    def keep(self, slots: Int64, count: Int64, records: View) -> None:
        """Keep records (slot by slot, ``count`` of each) of the last ``merge`` for the windows that stay open."""
        self.count[slots] = count
        self._put_open_sides(slots, records.side)

    def _open_sides(self, slots: Int64) -> Int64:
        return self._side[slots][self._column < self.count[slots, None]]

    def _put_open_sides(self, slots: Int64, side: Int64) -> None:
        rows = np.empty((len(slots), len(self._column)), np.int64)
        rows[self._column < self.count[slots, None]] = side
        self._side[slots] = rows

    def _compact(self) -> None:
        """Move the packets of open records to the front of the pool; one that has two gets two places."""
        slots = np.flatnonzero(self.count)
        side = self._open_sides(slots)
        self._fill = len(side)
        for name in _NAMES:
            column = getattr(self._pool, name)
            column[: self._fill] = column.take(side >> 1, axis=0)
        self._put_open_sides(slots, 2 * np.arange(self._fill) + (side & 1))

    def first_clock(self, slots: Int64) -> Int64:
        """Stream time of the first open record of slots that have one."""
        return self._pool.clock_us[self._side[slots, 0] >> 1]
