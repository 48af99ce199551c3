"""A bounded set-associative table of hash tags: find or admit many at once, never grow.

The table is ``groups`` rows of eight places. A tag belongs to one row; it takes a free place there or is
*spilled* (not admitted). Nothing is ever evicted while packets arrive: places are freed only by ``release``,
which callers do at fixed points of the stream. Between those points the order of arrival within a row is all
that decides who is admitted, so results do not depend on how the stream is cut into batches.
"""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Bool, Int64, UInt32, UInt64
from emtc_agent.windows.arrays import is_first

SPILLED = -1
WAYS = 8
_WAY_OF_HIT = np.uint64(0x0001_0203_0405_0607)
"""Eight comparison results read as one word have one bit set, bit ``8 * way``; multiplied by this constant the
word's highest byte is ``way``."""


class BoundedSets:
    """Rows of eight places that hold tags (0 marks a free place; callers never pass tag 0).

    Attributes:
        tags: (groups, WAYS) of ``dtype``.
    """

    def __init__(self, groups: int, dtype: type[np.uint32 | np.uint64] = np.uint64) -> None:
        self.tags = np.zeros((groups, WAYS), dtype)
        self._is_full = np.zeros(groups, bool)

    def find(self, row: Int64, tag: UInt32 | UInt64) -> Int64:
        """Place (flat index) of each tag in its row, ``SPILLED`` where it is not there."""
        hit = (self.tags.take(row, axis=0) == tag[:, None]).view("<u8").reshape(-1)
        way = (hit * _WAY_OF_HIT >> np.uint64(56)).astype(np.int64)
        return np.where(hit != 0, row * WAYS + way, SPILLED)

    def has_room(self, row: Int64) -> Bool:
        """Whether each row has a free place."""
        return ~self._is_full[row]

    def admit(self, row: Int64, tag: UInt32 | UInt64) -> Int64:
        """Give each of these distinct, absent tags a free place of its row in the order given.

        Returns:
            Place of each tag, ``SPILLED`` where its row was full.
        """
        by_row = np.argsort(row, kind="stable")
        rows = row[by_row]
        rank = np.arange(len(rows)) - _run_starts(rows)
        free = self.tags[rows] == 0
        free_first = np.argsort(~free, axis=1, kind="stable")
        fits = rank < free.sum(axis=1)
        way = free_first[np.arange(len(rows)), np.minimum(rank, WAYS - 1)]
        place = np.where(fits, rows * WAYS + way, SPILLED)
        self.tags.reshape(-1)[place[fits]] = tag[by_row][fits]
        self._is_full[rows] = self.tags[rows].all(axis=1)
        placed = np.empty_like(place)
        placed[by_row] = place
        return placed

    def release(self, gone: Bool) -> None:
        """Free the places marked in ``gone`` (groups, WAYS)."""
        self.tags[gone] = 0
        self._is_full &= ~gone.any(axis=1)

    def clear(self, rows: Int64) -> None:
        """Free all places of these rows."""
        self.tags[rows] = 0
        self._is_full[rows] = False


def first_in_time(key: UInt64) -> Int64:
    """Index of the first occurrence of each distinct key, in order of occurrence."""
    _, first = np.unique(key, return_index=True)
    first.sort()
    return first


def _run_starts(sorted_values: Int64) -> Int64:
    """For each element of a sorted array, the index where its run of equal values begins."""
    index = np.arange(len(sorted_values))
    return np.maximum.accumulate(np.where(is_first(sorted_values), index, 0))
