"""What an endpoint has talked to before: bounded, ageing memory of remotes and of their services."""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Bool, Int64, UInt64
from emtc_agent.windows.sets import SPILLED, BoundedSets

WAYS = 8
_ROW_BITS = np.uint64(12)  # tag bits that may choose the row; the next 31 are kept in it


class PeerMemory:
    """A few hundred tags per slot, each with the time it was last used.

    Args:
        slots: Endpoint slots.
        per_slot: Tags kept per slot; a power of two, at least 8.

    Attributes:
        spilled: Tags that found no room; they stay new.
    """

    def __init__(self, slots: int, per_slot: int) -> None:
        self._rows_per_slot = per_slot // WAYS
        self._sets = BoundedSets(slots * self._rows_per_slot, WAYS, np.uint32)
        self._last_s = np.zeros(slots * per_slot, np.uint32)
        self._uses = np.zeros(slots * per_slot, np.uint8)
        self.spilled = 0

    def meet(self, slot: Int64, tag: UInt64, clock_us: Int64) -> Bool:
        """Look up and remember tags that windows used.

        Args:
            slot: (U,) endpoint of each use; uses of one slot are in order of time.
            tag: (U,) hash of what was used, at most 48 bits.
            clock_us: (U,) stream time of the use.

        Returns:
            (U,) whether it was new to the endpoint then.
        """
        if not len(slot):
            return np.zeros(0, bool)
        key = (slot.astype(np.uint64) << np.uint64(48)) | tag
        _, first, which = np.unique(key, return_index=True, return_inverse=True)
        in_time = np.argsort(first, kind="stable")
        bucket = (tag[first] % np.uint64(self._rows_per_slot)).astype(np.int64)
        row = slot[first] * self._rows_per_slot + bucket
        marked = (tag[first] >> _ROW_BITS).astype(np.uint32) | np.uint32(1 << 31)  # 0 marks a free place
        place = self._sets.find(row, marked)
        missing = in_time[place[in_time] == SPILLED]
        known = place != SPILLED
        if len(missing):
            place[missing] = self._sets.admit(row[missing], marked[missing])
            self._uses[place[missing][place[missing] != SPILLED]] = 0
        homeless = place == SPILLED
        self.spilled += int(np.count_nonzero(homeless))
        self._touch(place[which], clock_us)
        is_first = np.zeros(len(slot), bool)
        is_first[first] = True
        return (is_first & ~known[which]) | homeless[which]

    def _touch(self, place: Int64, clock_us: Int64) -> None:
        kept = place != SPILLED
        place, clock_us = place[kept], clock_us[kept]
        self._last_s[place] = clock_us // 1_000_000  # the last use of a place comes last
        used, uses = np.unique(place, return_counts=True)
        self._uses[used] = np.minimum(self._uses[used] + uses, 0xFF)

    def sweep(self, now_us: int, age_us: int, brief_age_us: int) -> None:
        """Forget what was not used for ``age_us``; if only one window used it, ``brief_age_us``."""
        silent_us = (now_us // 1_000_000 - self._last_s.astype(np.int64)) * 1_000_000
        gone = (silent_us >= age_us) | ((self._uses <= 1) & (silent_us >= brief_age_us))
        self._sets.release(gone.reshape(self._sets.tags.shape))

    def forget(self, slots: Int64) -> None:
        """Free everything these slots remember."""
        rows = (slots[:, None] * self._rows_per_slot + np.arange(self._rows_per_slot)).reshape(-1)
        self._sets.tags[rows] = 0
