"""Records side by side: what a window needs to know about each of its packets."""

from __future__ import annotations

from dataclasses import dataclass, fields

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
        remote_hi, remote_lo: Address of the other side.
        own_hi, own_lo: Address of this side.
        local_port, remote_port, service: Ports; ``service`` is the one that names the service.
        proto: IP protocol.
        ttl: TTL or hop limit.
        dns_id, dns_name_len: See ``Hints``.
        arp_mac: Sender hardware address inside ARP.
        teid: GTP-U tunnel.
    """

    clock_us: Int64
    ts_us: Int64
    order: Int64
    size: Int32
    traits: UInt64
    remote_hi: UInt64
    remote_lo: UInt64
    own_hi: UInt64
    own_lo: UInt64
    local_port: UInt16
    remote_port: UInt16
    service: UInt16
    proto: UInt8
    ttl: UInt8
    dns_id: UInt16
    dns_name_len: UInt8
    arp_mac: UInt64
    teid: UInt32

    def __len__(self) -> int:
        return len(self.order)

    def take(self, index: Int64) -> Pool:
        """The records at ``index``, in that order."""
        return Pool(*(getattr(self, name)[index] for name in NAMES))


NAMES = tuple(field.name for field in fields(Pool))
_DTYPES: dict[str, type] = {
    **dict.fromkeys(("clock_us", "ts_us", "order"), np.int64),
    **dict.fromkeys(("traits", "remote_hi", "remote_lo", "own_hi", "own_lo", "arp_mac"), np.uint64),
    **dict.fromkeys(("local_port", "remote_port", "service", "dns_id"), np.uint16),
    **dict.fromkeys(("proto", "ttl", "dns_name_len"), np.uint8),
    "size": np.int32,
    "teid": np.uint32,
}


def blank(size: int) -> Pool:
    """``size`` records of zeros."""
    return Pool(*(np.zeros(size, _DTYPES[name]) for name in NAMES))


class OpenWindows:
    """The records of windows that are not closed yet: at most ``packets`` per slot."""

    def __init__(self, slots: int, packets: int) -> None:
        self.count = np.zeros(slots, np.int64)
        self._packets = packets
        self._store = blank(slots * packets)

    def take(self, slots: Int64) -> Pool:
        """Remove and return the open records of these slots, slot by slot in order of arrival."""
        count = self.count[slots]
        self.count[slots] = 0
        return self._store.take(np.repeat(slots * self._packets, count) + ranks(count))

    def put(self, slots: Int64, count: Int64, records: Pool) -> None:
        """Keep records (slot by slot, ``count`` of each) for the windows that stay open."""
        where = np.repeat(slots * self._packets, count) + ranks(count)
        for name in NAMES:
            getattr(self._store, name)[where] = getattr(records, name)
        self.count[slots] = count

    def first_clock(self, slots: Int64) -> Int64:
        """Stream time of the first open record of slots that have one."""
        return self._store.clock_us[slots * self._packets]


def interleave(first: Pool, first_count: Int64, second: Pool, second_count: Int64) -> Pool:
    """Group by group, the records of ``first`` followed by those of ``second``.

    Args:
        first: Records, ``first_count[g]`` for each group g in turn.
        second: Likewise, ``second_count[g]``.
    """
    if not len(first):
        return second
    total = first_count + second_count
    start = np.cumsum(total) - total
    into_first = np.repeat(start, first_count) + ranks(first_count)
    into_second = np.repeat(start + first_count, second_count) + ranks(second_count)
    merged = blank(len(first) + len(second))
    for name in NAMES:
        column = getattr(merged, name)
        column[into_first] = getattr(first, name)
        column[into_second] = getattr(second, name)
    return merged
