"""A bounded set-associative table of hash tags: find or admit many at once, never grow.

The table is ``groups`` rows of eight places. A tag belongs to one row; it takes a free place there or is
*spilled* (not admitted). Nothing is ever evicted while packets arrive: places are freed only by ``release``,
which callers do at fixed points of the stream. Between those points the order of arrival within a row is all
that decides who is admitted, so results do not depend on how the stream is cut into batches.
"""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Bool, Int64, UInt32, UInt64
from emtc_agent.windows.arrays import is_first, lengths, ranks

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
        order = np.argsort(row, kind="stable")
        rows = row[order]
        first = np.flatnonzero(is_first(rows))
        wanted = ranks(lengths(first, len(rows)))[:, None]  # the how manieth free place of its row each one takes
        free = (self.tags[rows] == 0).cumsum(axis=1, dtype=np.uint8)
        way = (free > wanted).argmax(axis=1)
        fits = np.flatnonzero(free[:, -1] > wanted[:, 0])
        self._is_full[rows[free[:, -1] <= wanted[:, 0] + 1]] = True
        place = np.full(len(row), SPILLED)
        place[order[fits]] = rows[fits] * WAYS + way[fits]
        self.tags.reshape(-1)[place[order[fits]]] = tag[order[fits]]
        return place

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
