"""What an endpoint has talked to before: bounded, ageing memory of remotes and of their services."""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Bool, Int64, UInt32, UInt64
from emtc_agent.windows.sets import SPILLED, WAYS, BoundedSets, first_in_time

_ROW_BITS = np.uint64(12)  # tag bits that may choose the row; the next 31 are kept in it
_SECOND_US = 1_000_000
_CLOCK_MASK = 0xFFFF_FFFF  # seconds are kept modulo 2^32: only their differences count


class PeerMemory:
    """A hundred or so tags per slot, each with the time it was last used.

    Args:
        slots: Endpoint slots.
        per_slot: Tags kept per slot; a power of two, at least 8.

    Attributes:
        spilled: Uses of tags that found no room; they stay new.
    """

    def __init__(self, slots: int, per_slot: int) -> None:
        self._rows_per_slot = per_slot // WAYS
        self._row_mask = np.uint64(self._rows_per_slot - 1)
        self._sets = BoundedSets(slots * self._rows_per_slot, np.uint32)
        self._last_s = np.zeros(slots * per_slot, np.uint32)
        self._used_again = np.zeros(slots * per_slot, bool)
        self.spilled = 0

    def meet(self, slot: Int64, tag: UInt64, clock_us: Int64) -> Bool:
        """Look up and remember tags that windows used.

        Args:
            slot: (U,) endpoint of each use; uses of one slot are in order of time, and differ within a window.
            tag: (U,) hash of what was used, at most 48 bits.
            clock_us: (U,) stream time of the use.

        Returns:
            (U,) whether it was new to the endpoint then.
        """
        row = slot * self._rows_per_slot + (tag & self._row_mask).astype(np.int64)
        marked = (tag >> _ROW_BITS).astype(np.uint32) | np.uint32(1 << 31)  # 0 marks a free place
        place = self._sets.find(row, marked)
        new = place == SPILLED
        missing = np.flatnonzero(new)
        if len(missing):
            learned = missing[self._sets.has_room(row[missing])]
            if len(learned):
                new[learned] = self._learn(row[learned], marked[learned])
                place[learned] = self._sets.find(row[learned], marked[learned])
        kept = np.flatnonzero(place != SPILLED)
        self.spilled += len(place) - len(kept)
        place = place[kept]
        self._used_again[place[~new[kept]]] = True
        self._last_s[place] = clock_us[kept] // _SECOND_US  # the last use of a place comes last
        return new

    def _learn(self, row: Int64, marked: UInt32) -> Bool:
        """Admit absent tags in order of time; returns which uses are new: first ones, and those without room."""
        first = first_in_time((row.astype(np.uint64) << np.uint64(32)) | marked)
        place = self._sets.admit(row[first], marked[first])
        self._used_again[place[place != SPILLED]] = False
        new = self._sets.find(row, marked) == SPILLED
        new[first] = True
        return new

    def sweep(self, now_us: int, age_us: int, brief_age_us: int) -> None:
        """Forget what was not used for ``age_us``; if only one window used it, ``brief_age_us``."""
        silent_s = np.uint32(now_us // _SECOND_US & _CLOCK_MASK) - self._last_s
        age_s, brief_age_s = -(-age_us // _SECOND_US), -(-brief_age_us // _SECOND_US)
        gone = (silent_s >= age_s) | (~self._used_again & (silent_s >= brief_age_s))
        self._sets.release(gone.reshape(self._sets.tags.shape))

    def forget(self, slots: Int64) -> None:
        """Free everything these slots remember."""
        rows = (slots[:, None] * self._rows_per_slot + np.arange(self._rows_per_slot)).reshape(-1)
        self._sets.clear(rows)
