"""The bounded table of endpoints: a slot for each device, at most ``capacity`` of them.

A newcomer takes a free slot of its row or is counted with all other homeless ones in the overflow slot, so a
flood of made-up sources can neither push out a known device nor grow memory. Slots are freed only by
``sweep``, at fixed points of the stream.
"""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Int64, UInt8, UInt64
from emtc_agent.windows.sets import SPILLED, BoundedSets
from emtc_agent.windows.windows import EndpointKind

WAYS = 8
NEVER = -1


class EndpointTable:
    """Who is known, since when, and when they were last heard.

    Args:
        capacity: Slots; a power of two, at least 8.

    Attributes:
        overflow: Slot of all endpoints without a place; one more than the last regular slot.
        kind, id_hi, id_lo: Identity by slot.
        first_us: Stream time of the first packet by slot.
        last_us: Stream time of the last packet by slot.
        packets: Packets by slot.
    """

    def __init__(self, capacity: int) -> None:
        self._sets = BoundedSets(capacity // WAYS, WAYS)
        self._row_shift = np.uint64(64 - (capacity // WAYS - 1).bit_length())
        self.overflow = capacity
        self.kind = np.zeros(capacity + 1, np.uint8)
        self.id_hi = np.zeros(capacity + 1, np.uint64)
        self.id_lo = np.zeros(capacity + 1, np.uint64)
        self.first_us = np.full(capacity + 1, NEVER, np.int64)
        self.last_us = np.zeros(capacity + 1, np.int64)
        self.packets = np.zeros(capacity + 1, np.int64)
        self.kind[capacity] = EndpointKind.OVERFLOW
        self.admitted = 0
        self.evicted = 0

    def slots(self, tag: UInt64, kind: UInt8, id_hi: UInt64, id_lo: UInt64, first_us: Int64) -> Int64:
        """Slot of each of G distinct endpoints, in order of their first packet.

        Args:
            tag: (G,) keyed hash of the identity; collisions of 64 secret bits are neglected.
            kind, id_hi, id_lo: (G,) identity.
            first_us: (G,) stream time of the first packet.
        """
        row = self._row(tag)
        tag = tag | np.uint64(1)  # 0 marks a free place
        slot = self._sets.find(row, tag)
        new = np.flatnonzero(slot == SPILLED)
        if len(new):
            slot[new] = self._sets.admit(row[new], tag[new])
            self._settle(new[slot[new] != SPILLED], slot, (kind, id_hi, id_lo, first_us))
        return np.where(slot == SPILLED, self.overflow, slot)

    def _settle(self, new: Int64, slot: Int64, identity: tuple[UInt8, UInt64, UInt64, Int64]) -> None:
        at = slot[new]
        self.kind[at], self.id_hi[at], self.id_lo[at], self.first_us[at] = (value[new] for value in identity)
        self.packets[at] = 0
        self.admitted += len(new)

    def _row(self, tag: UInt64) -> Int64:
        if self._row_shift == np.uint64(64):
            return np.zeros(len(tag), np.int64)
        return (tag >> self._row_shift).astype(np.int64)

    def seen(self, slot: Int64, packets: Int64, last_us: Int64) -> None:
        """Note packets of distinct slots and when the last one came."""
        self.packets[slot] += packets
        self.last_us[slot] = last_us
        if self.first_us[self.overflow] == NEVER and (slot == self.overflow).any():
            self.first_us[self.overflow] = last_us[slot == self.overflow][0]

    def sweep(self, now_us: int, idle_us: int, brief_packets: int, brief_idle_us: int) -> Int64:
        """Free the slots of endpoints that fell silent.

        Args:
            now_us: Stream time.
            idle_us: Any endpoint silent for this long goes.
            brief_packets, brief_idle_us: Endpoints with at most so many packets go after this shorter time.

        Returns:
            The freed slots.
        """
        silent = now_us - self.last_us[:-1]
        brief = (self.packets[:-1] <= brief_packets) & (silent >= brief_idle_us)
        taken = self._sets.tags.reshape(-1) != 0
        gone = taken & (brief | (silent >= idle_us))
        self._sets.release(gone.reshape(self._sets.tags.shape))
        freed = np.flatnonzero(gone)
        self.evicted += len(freed)
        return freed
