"""The bounded table of endpoints: a slot for each device, at most ``capacity`` of them.

A newcomer takes a free slot of its row or is counted with all other homeless ones in the overflow slot, so a
flood of made-up sources can neither push out a known device nor grow memory. Slots are freed only by
``free``, at fixed points of the stream.
"""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Int64, UInt8, UInt64
from emtc_agent.windows.sets import SPILLED, WAYS, BoundedSets, first_in_time
from emtc_agent.windows.windows import EndpointKind

MAX_CAPACITY = 32_768
NEVER = -1
_SHORTCUTS = 8_192
_SHORTCUT_SHIFT = np.uint64(64 - 13)


Identity = tuple[UInt8, UInt64, UInt64]
"""(M,) kind, high and low half of the id."""


class EndpointTable:
    """Who is known, since when, and when they were last heard.

    Args:
        capacity: Slots; a power of two, 8 to ``MAX_CAPACITY``.

    Attributes:
        overflow: Slot of all endpoints without a place; one more than the last regular slot. It begins with the
            first packet that finds no place and is forgotten after a long silence, as any other.
        kind, id_hi, id_lo: Identity by slot.
        first_us: Stream time of the first packet by slot, ``NEVER`` where the slot is free.
        last_us: Stream time of the last packet by slot.
        packets: Packets by slot.
        spilled: Packets that found no place.
    """

    def __init__(self, capacity: int) -> None:
        self._sets = BoundedSets(capacity // WAYS)
        self._row_shift = np.uint64(64 - (capacity // WAYS - 1).bit_length())
        self._short_tag = np.zeros(_SHORTCUTS, np.uint64)
        self._short_slot = np.zeros(_SHORTCUTS, np.int64)
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
        self.spilled = 0

    def slots(self, tag: UInt64, identity: Identity, clock_us: Int64) -> Int64:
        """(M,) slot of the endpoint of each record; newcomers are settled, the homeless share ``overflow``.

        Args:
            tag: (M,) keyed hash of the identity; collisions of 64 secret bits are neglected.
            identity: (M,) kind and both halves of the id.
            clock_us: (M,) stream time, never falling.
        """
        row = self._row(tag)
        tag = tag | np.uint64(1)  # 0 marks a free place
        slot = self._find(row, tag)
        missing = np.flatnonzero(slot == SPILLED)
        if len(missing):
            newcomers = missing[self._sets.has_room(row[missing])]
            if len(newcomers):
                self._settle(newcomers[first_in_time(tag[newcomers])], row, tag, identity, clock_us)
                slot[newcomers] = self._sets.find(row[newcomers], tag[newcomers])
            homeless = np.flatnonzero(slot == SPILLED)
            if len(homeless):
                self._house_together(homeless, slot, clock_us)
        return slot

    def _find(self, row: Int64, tag: UInt64) -> Int64:
        """Slot of each tag, ``SPILLED`` where it has none; first looked for where the last one like it was found."""
        shortcut = (tag >> _SHORTCUT_SHIFT).astype(np.int64)
        slot = self._short_slot.take(shortcut)
        rest = np.flatnonzero(self._short_tag.take(shortcut) != tag)
        if not len(rest):
            return slot
        slot[rest] = self._sets.find(row[rest], tag[rest])
        found = rest[slot[rest] != SPILLED]
        self._short_tag[shortcut[found]], self._short_slot[shortcut[found]] = tag[found], slot[found]
        return slot

    def _house_together(self, homeless: Int64, slot: Int64, clock_us: Int64) -> None:
        """Give records without a place the overflow slot, which the first of them opens."""
        slot[homeless] = self.overflow
        self.spilled += len(homeless)
        if self.first_us[self.overflow] == NEVER:
            self.first_us[self.overflow] = clock_us[homeless[0]]
            self.packets[self.overflow] = 0

    def _settle(self, first: Int64, row: Int64, tag: UInt64, identity: Identity, clock_us: Int64) -> None:
        """Give the endpoints of records ``first`` a slot where their row has room."""
        slot = self._sets.admit(row[first], tag[first])
        housed = slot != SPILLED
        at, first = slot[housed], first[housed]
        self.kind[at], self.id_hi[at], self.id_lo[at] = (part[first] for part in identity)
        self.first_us[at] = clock_us[first]
        self.packets[at] = 0
        self.admitted += len(at)

    def _row(self, tag: UInt64) -> Int64:
        if self._row_shift == np.uint64(64):
            return np.zeros(len(tag), np.int64)
        return (tag >> self._row_shift).astype(np.int64)

    def seen(self, slot: Int64, packets: Int64, last_us: Int64) -> None:
        """Note packets of distinct slots and when the last one came."""
        self.packets[slot] += packets
        self.last_us[slot] = last_us

    def silent(self, now_us: int, idle_us: int, brief_packets: int, brief_idle_us: int) -> Int64:
        """The slots of endpoints that fell silent.

        Args:
            now_us: Stream time.
            idle_us: Any endpoint silent for this long.
            brief_packets, brief_idle_us: Endpoints with at most so many packets after this shorter time.
        """
        silence = now_us - self.last_us
        brief = (self.packets <= brief_packets) & (silence >= brief_idle_us)
        return np.flatnonzero((self.first_us != NEVER) & (brief | (silence >= idle_us)))

    def free(self, slots: Int64) -> None:
        """Give these slots to whoever comes next."""
        gone = np.zeros(self.overflow + 1, bool)
        gone[slots] = True
        regular = gone[: self.overflow]
        self._sets.release(regular.reshape(self._sets.tags.shape))
        self.first_us[slots] = NEVER
        self._short_tag[:] = 0
        self.evicted += int(np.count_nonzero(regular))
