"""Sorting records by endpoint slot, each slot's records in order of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.packets import Int64
from emtc_agent.windows.arrays import is_first, lengths


@dataclass(frozen=True, slots=True)
class Groups:
    """G slots that a batch's records belong to.

    Attributes:
        slot: (G,) the slots, ascending.
        order: (M,) records, slot by slot, in order of time within each.
        start: (G,) first position in ``order`` of each slot.
    """

    slot: Int64
    order: Int64
    start: Int64

    @property
    def count(self) -> Int64:
        """(G,) records of each slot."""
        return lengths(self.start, len(self.order))

    @property
    def last(self) -> Int64:
        """(G,) the last record of each slot."""
        return self.order[self.start + self.count - 1]


def group_by_slot(slot: Int64) -> Groups:
    """Group records, which are in order of time, by their slot (M,), at most 65,535."""
    order = np.argsort(slot.astype(np.uint16), kind="stable")  # numpy sorts 16-bit numbers by radix
    ordered = slot[order]
    start = np.flatnonzero(is_first(ordered))
    return Groups(ordered[start], order, start)
