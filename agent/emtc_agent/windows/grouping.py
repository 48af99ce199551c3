"""Sorting records by endpoint, each endpoint's records in order of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.packets import Int64, UInt64
from emtc_agent.windows.arrays import is_first
from emtc_agent.windows.attribution import Records

_ORDER_BITS = np.uint64(18)
_ORDER_MASK = np.uint64((1 << 18) - 1)


@dataclass(frozen=True, slots=True)
class Groups:
    """G endpoints of a batch.

    Attributes:
        order: (M,) records, endpoint by endpoint, in order of time within each.
        start: (G,) first position in ``order`` of each endpoint.
        tag: (G,) keyed hash of the endpoint.
    """

    order: Int64
    start: Int64
    tag: UInt64

    @property
    def count(self) -> Int64:
        """(G,) records of each endpoint."""
        return np.diff(self.start, append=len(self.order))


def time_order(records: Records) -> Int64:
    """(M,) twice the packet's index, plus one if received: the order of records in time."""
    return records.packet * 2 + ~records.up


def group_by_endpoint(records: Records, tag: UInt64) -> Groups:
    """Group by ``tag`` (upper 46 bits): one sort of ``tag | order`` yields groups and order at once.

    Args:
        records: At most 2^17 packets.
        tag: (M,) keyed hash of each record's endpoint.
    """
    order = time_order(records).astype(np.uint64)
    key = (tag & ~_ORDER_MASK) | order
    key.sort()
    position = _positions(records, (key & _ORDER_MASK).astype(np.int64))
    key >>= _ORDER_BITS
    start = np.flatnonzero(is_first(key))
    return Groups(position, start, tag[position[start]])


def _positions(records: Records, order: Int64) -> Int64:
    """Index of the record with each time order."""
    where = np.zeros(2 * (int(records.packet.max()) + 1) if len(records) else 0, np.int64)
    where[time_order(records)] = np.arange(len(records))
    return where[order]


def regroup(groups: Groups, slot: Int64, order: Int64) -> tuple[Groups, Int64]:
    """Merge groups that share a slot (the overflow slot).

    Args:
        groups: Groups as found.
        slot: (G,) slot of each.
        order: (M,) time order of each record.

    Returns:
        The merged groups, and their slots.
    """
    record_slot = np.repeat(slot, groups.count)
    sorted_by = np.lexsort((order[groups.order], record_slot))
    merged = groups.order[sorted_by]
    record_slot = record_slot[sorted_by]
    start = np.flatnonzero(is_first(record_slot))
    return Groups(merged, start, np.zeros(len(start), np.uint64)), record_slot[start]
