"""A bounded table of bidirectional TCP and UDP flows, and what each packet finds in it: the totals so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.packets import Bool, Int64, UInt64
from emtc_agent.windows.arrays import is_first, lengths, ranks
from emtc_agent.windows.sets import SPILLED, WAYS, BoundedSets, first_in_time

_LOW_BITS = 16


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of each packet's flow, that packet included; shape (N,).

    Attributes:
        packets, size: Packets, and sum of sizes, in both directions.
        first_us, last_us: Smallest and largest capture time.
        counts: (N, C) sums of the counted marks.
    """

    packets: Int64
    size: Int64
    first_us: Int64
    last_us: Int64
    counts: Int64


class FlowTable:
    """Totals of at most ``capacity`` flows.

    A packet of a flow without a place is told its own values only, as if the flow had just begun: a flood of
    one-packet flows is described rightly all the same.

    Args:
        capacity: A power of two, at least 8.
        marks: Number of marks counted per flow.

    Attributes:
        spilled: Packets whose flow found no place.
    """

    def __init__(self, capacity: int, marks: int) -> None:
        self.spilled = 0
        self._capacity = capacity
        self._sets = BoundedSets(capacity // WAYS)
        self._row_shift = np.uint64(64 - max((capacity // WAYS - 1).bit_length(), 1))
        self._packets = np.zeros(capacity, np.int64)
        self._size = np.zeros(capacity, np.int64)
        self._first_us = np.zeros(capacity, np.int64)
        self._last_us = np.zeros(capacity, np.int64)
        self._counts = np.zeros((capacity, marks), np.int32)

    def clear(self) -> None:
        """Forget all flows."""
        self._sets.clear(np.arange(len(self._sets.tags)))

    def observe(self, tag: UInt64, size: Int64, ts_us: Int64, marks: Bool) -> Totals:
        """Add packets in order of arrival.

        Args:
            tag: (N,) keyed hash of the flow.
            size: (N,) bytes.
            ts_us: (N,) capture time, in any order.
            marks: (N, C) what is counted.
        """
        place = self._places(tag, ts_us)
        order = _order_of(place)
        place, times = place[order], ts_us[order]
        start = np.flatnonzero(is_first(place))
        length = lengths(start, len(place))
        kept = place[start] < self._capacity
        at = place[start[kept]]
        found = Totals(
            packets=ranks(length) + 1 + self._before(self._packets, at, kept, length),
            size=_running_sum(size[order], start, length) + self._before(self._size, at, kept, length),
            first_us=-self._furthest(-times, -self._first_us[at], start, length, kept),
            last_us=self._furthest(times, self._last_us[at], start, length, kept),
            counts=_running_sum(marks[order].astype(np.int64), start, length)
            + self._before(self._counts, at, kept, length),
        )
        self._store(found, at, (start + length - 1)[kept])
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return Totals(*(getattr(found, name)[back] for name in _NAMES))

    def _places(self, tag: UInt64, ts_us: Int64) -> Int64:
        """Table place of each packet's flow; a number of its own beyond the table where there is none."""
        row = (tag >> self._row_shift).astype(np.int64) % len(self._sets.tags)
        tag = tag | np.uint64(1)  # 0 marks a free place
        place = self._sets.find(row, tag)
        missing = np.flatnonzero(place == SPILLED)
        if len(missing):
            new = missing[self._sets.has_room(row[missing])]
            if len(new):
                first = new[first_in_time(tag[new])]
                admitted = self._sets.admit(row[first], tag[first])
                housed = admitted != SPILLED
                self._begin(admitted[housed], ts_us[first[housed]])
                place[new] = self._sets.find(row[new], tag[new])
            homeless = np.flatnonzero(place == SPILLED)
            self.spilled += len(homeless)
            place[homeless] = self._capacity + np.arange(len(homeless))
        return place

    def _begin(self, place: Int64, ts_us: Int64) -> None:
        self._packets[place] = self._size[place] = 0
        self._counts[place] = 0
        self._first_us[place] = self._last_us[place] = ts_us

    def _before(self, totals: np.ndarray, at: Int64, kept: Bool, length: Int64) -> Int64:
        """What the table held for the flow of each packet; 0 for flows without a place."""
        held = np.zeros((len(kept), *totals.shape[1:]), np.int64)
        held[kept] = totals[at]
        return np.repeat(held, length, axis=0)

    def _furthest(self, times: Int64, held: Int64, start: Int64, length: Int64, kept: Bool) -> Int64:
        """Running maximum per flow, that of the table included."""
        begin = times[start]
        begin[kept] = np.maximum(begin[kept], held)
        times = times.copy()
        times[start] = begin
        return _running_max(times, start, length)

    def _store(self, found: Totals, at: Int64, last: Int64) -> None:
        self._packets[at], self._size[at] = found.packets[last], found.size[last]
        self._first_us[at], self._last_us[at] = found.first_us[last], found.last_us[last]
        self._counts[at] = found.counts[last]


_NAMES = ("packets", "size", "first_us", "last_us", "counts")


def _order_of(place: Int64) -> Int64:
    """Stable order by place, by two radix passes of 16 bits each."""
    order = np.argsort(place.astype(np.uint16), kind="stable")
    high = (place >> _LOW_BITS).astype(np.uint16)
    return order[np.argsort(high[order], kind="stable")] if high.any() else order


def _running_sum(value: Int64, start: Int64, length: Int64) -> Int64:
    """Inclusive sums that begin anew at each start."""
    total = np.cumsum(value, axis=0)
    return total - np.repeat(total[start] - value[start], length, axis=0)


def _running_max(value: Int64, start: Int64, length: Int64) -> Int64:
    """Running maxima that begin anew at each start."""
    rising = np.ones(len(value), bool)
    rising[1:] = value[1:] >= value[:-1]
    rising[start] = True
    if rising.all():
        return value
    sorted_values, rank = np.unique(value, return_inverse=True)  # ranks are small enough to shift per flow
    shift = np.repeat(np.arange(len(start)) * len(sorted_values), length)
    return sorted_values[np.maximum.accumulate(rank.reshape(-1) + shift) - shift]
