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
    """Some records out of two pools, gathered column by column when asked for.

    Args:
        kept: Records of earlier batches.
        new: Records of this batch.
        index: (R,) which records: positions in ``kept``, then, from ``len(kept)`` on, positions in ``new``.
    """

    def __init__(self, kept: Pool, new: Pool, index: Int64) -> None:
        self.index = index
        self._kept, self._new = kept, new
        self._old = np.flatnonzero(index < len(kept))
        self._old_index = index[self._old]
        self._new_index = index - len(kept)

    def __len__(self) -> int:
        return len(self.index)

    def at(self, where: Int64) -> View:
        """The records at these positions of this view."""
        return View(self._kept, self._new, self.index[where])

    def column(self, name: str) -> Any:
        """(R,) a column of ``Pool``; a fresh array."""
        kept = getattr(self._kept, name)
        if len(self._old) == len(self.index):
            return kept[self._old_index]
        column = getattr(self._new, name).take(self._new_index, mode="clip")
        column[self._old] = kept[self._old_index]
        return column


class OpenWindows:
    """The records of windows that are not closed yet: at most ``packets`` per slot.

    Attributes:
        count: (slots,) open records of each slot.
        store: The records of slot s, in order of time, begin at ``s * packets``.
    """

    def __init__(self, slots: int, packets: int) -> None:
        self.count = np.zeros(slots, np.int64)
        self.store = blank(slots * packets)
        self._packets = packets

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
        open_count = self.count[slots]
        total = open_count + count
        start = np.cumsum(total) - total
        index = np.empty(int(total.sum()), np.int64)
        index[np.repeat(start, open_count) + ranks(open_count)] = self._positions(slots, open_count)
        index[np.repeat(start + open_count, count) + ranks(count)] = order + len(self.store)
        return View(self.store, new, index), start

    def keep(self, slots: Int64, count: Int64, records: View) -> None:
        """Keep records (slot by slot, ``count`` of each) for the windows that stay open."""
        where = self._positions(slots, count)
        moved = np.flatnonzero(records.index != where)  # the others lie there already
        where, records = where[moved], records.at(moved)
        for name in NAMES:
            getattr(self.store, name)[where] = records.column(name)
        self.count[slots] = count

    def _positions(self, slots: Int64, count: Int64) -> Int64:
        return np.repeat(slots * self._packets, count) + ranks(count)

    def first_clock(self, slots: Int64) -> Int64:
        """Stream time of the first open record of slots that have one."""
        return self.store.clock_us[slots * self._packets]
