"""Records side by side: what a window needs to know about each of its packets."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from emtc_agent.packets import Int32, Int64, UInt8, UInt16, UInt32, UInt64
from emtc_agent.windows.arrays import ranks


@dataclass(frozen=True, slots=True)
class Pool:
    """Structure of arrays over R records; every array has shape (R,).

    Attributes:
        clock_us: Stream time.
        ts_us: Capture time.
        order: ``2 * position of the packet in the stream + (0 sent | 1 received)``.
        size: Network-layer length, bytes, at most 262,143.
        traits: See ``traits.py``.
        remote: Hash of the other side's address, ``NOBODY`` if it has none.
        remote_service: Hash of that and the service.
        local_port, remote_port, service: Ports; ``service`` is the one that names the service.
        proto: IP protocol.
        ttl: TTL or hop limit.
        src_hi, src_lo, dst_hi, dst_lo: Addresses of the packet.
        dns_id, dns_name_len: See ``Hints``.
        arp_mac: Sender hardware address inside ARP.
        teid: GTP-U tunnel.
    """

    clock_us: Int64
    ts_us: Int64
    order: Int64
    size: Int32
    traits: UInt64
    remote: UInt64
    remote_service: UInt64
    local_port: UInt16
    remote_port: UInt16
    service: UInt16
    proto: UInt8
    ttl: UInt8
    src_hi: UInt64
    src_lo: UInt64
    dst_hi: UInt64
    dst_lo: UInt64
    dns_id: UInt16
    dns_name_len: UInt8
    arp_mac: UInt64
    teid: UInt32

    def __len__(self) -> int:
        return len(self.order)


_ENOUGH = 65_536
"""Records up to which the pool fills before open ones are moved; more memory would only make it touch more."""
NAMES = tuple(field.name for field in fields(Pool))
_DTYPES: dict[str, type] = {
    **dict.fromkeys(("clock_us", "ts_us", "order"), np.int64),
    **dict.fromkeys(("traits", "remote", "remote_service", "arp_mac"), np.uint64),
    **dict.fromkeys(("src_hi", "src_lo", "dst_hi", "dst_lo"), np.uint64),
    **dict.fromkeys(("local_port", "remote_port", "service", "dns_id"), np.uint16),
    **dict.fromkeys(("proto", "ttl", "dns_name_len"), np.uint8),
    "size": np.int32,
    "teid": np.uint32,
}


def blank(size: int) -> Pool:
    """``size`` records of zeros."""
    return Pool(*(np.zeros(size, _DTYPES[name]) for name in NAMES))


class View:
    """Some records of a pool, gathered column by column when asked for.

    Args:
        pool: All records.
        index: (R,) which of them.
    """

    def __init__(self, pool: Pool, index: Int64) -> None:
        self.index = index
        self._pool = pool

    def __len__(self) -> int:
        return len(self.index)

    def at(self, where: Int64) -> View:
        """The records at these positions of this view."""
        return View(self._pool, self.index[where])

    def column(self, name: str) -> Any:
        """(R,) a column of ``Pool``; a fresh array."""
        return getattr(self._pool, name).take(self.index)


class OpenWindows:
    """The records of windows that are not closed yet: at most ``packets - 1`` per slot.

    New records are appended to a pool of fixed size, where those of open windows stay. Only now and then the
    open ones move to its front, so a record is copied a few times at most, however small the batches.

    Args:
        slots: Endpoint slots.
        packets: Packets of a full window.
        most_new: Most records that are merged at once.

    Attributes:
        count: (slots,) open records of each slot.
    """

    def __init__(self, slots: int, packets: int, most_new: int) -> None:
        self.count = np.zeros(slots, np.int64)
        self._packets = packets
        self._where = np.zeros(slots * packets, np.int64)  # slot s: in order of time, from ``s * packets`` on
        self._pool = blank(slots * (packets - 1) + most_new)
        self._fill = 0

    def merge(self, slots: Int64, new: Pool, order: Int64, count: Int64) -> tuple[View, Int64]:
        """Slot by slot, the open records followed by new ones.

        Args:
            slots: (G,) slots, all different.
            new: Records of this batch.
            order: Positions in ``new``, ``count[g]`` for each slot in turn.
            count: (G,) new records of each slot.

        Returns:
            The records, and (G,) where each slot's begin.
        """
        base = self._append(new)
        open_count = self.count[slots]
        total = open_count + count
        start = np.cumsum(total) - total
        index = np.empty(int(total.sum()), np.int64)
        index[np.repeat(start, open_count) + ranks(open_count)] = self._where[self._positions(slots, open_count)]
        index[np.repeat(start + open_count, count) + ranks(count)] = order + base
        return View(self._pool, index), start

    def keep(self, slots: Int64, count: Int64, records: View) -> None:
        """Keep records (slot by slot, ``count`` of each) of the last ``merge`` for the windows that stay open."""
        self._where[self._positions(slots, count)] = records.index
        self.count[slots] = count

    def _append(self, new: Pool) -> int:
        """Put records behind the others; returns where."""
        if self._fill + len(new) > min(_ENOUGH, len(self._pool)):
            self._compact()
        base = self._fill
        self._fill += len(new)
        for name in NAMES:
            getattr(self._pool, name)[base : self._fill] = getattr(new, name)
        return base

    def _compact(self) -> None:
        """Move the open records to the front of the pool."""
        slots = np.flatnonzero(self.count)
        positions = self._positions(slots, self.count[slots])
        index = self._where[positions]
        self._fill = len(index)
        for name in NAMES:
            column = getattr(self._pool, name)
            column[: self._fill] = column[index]
        self._where[positions] = np.arange(self._fill)

    def _positions(self, slots: Int64, count: Int64) -> Int64:
        return np.repeat(slots * self._packets, count) + ranks(count)

    def first_clock(self, slots: Int64) -> Int64:
        """Stream time of the first open record of slots that have one."""
        return self._pool.clock_us[self._where[slots * self._packets]]
