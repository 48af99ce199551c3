"""Distinct values per window: each window is a short row, and rows are sorted one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from emtc_agent.packets import Bool, Int64, UInt16, UInt64
from emtc_agent.windows.arrays import lengths

NOBODY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
"""Tag of what is to be left out."""

_TAG_SHIFT = np.uint64(18)  # 46 bits of a hash tell values apart and leave room for a slot beside them
_Array = TypeVar("_Array", UInt16, UInt64)


@dataclass(frozen=True, slots=True)
class Runs:
    """Distinct (window, value) pairs, ordered by window.

    Attributes:
        window: (U,) window of each run.
        tag: (U,) the value's hash, cut to 46 bits.
        packets: (U,) packets of the window with that value.
    """

    window: Int64
    tag: UInt64
    packets: Int64

    def before(self, window: int) -> Runs:
        """The runs of the windows before this one."""
        end = np.searchsorted(self.window, window)
        return Runs(self.window[:end], self.tag[:end], self.packets[:end])

    def distinct(self, windows: int) -> Int64:
        """(W,) distinct values of each window."""
        return np.bincount(self.window, minlength=windows)

    def most(self, windows: int) -> tuple[Int64, UInt64]:
        """(W,) packets and tag of each window's most frequent value; tag 0 if there is none or several."""
        best = np.zeros(windows, np.int64)
        tag = np.zeros(windows, np.uint64)
        np.maximum.at(best, self.window, self.packets)
        leads = self.packets == best[self.window]
        tag[self.window[leads]] = self.tag[leads]
        tag[np.bincount(self.window[leads], minlength=windows) > 1] = 0
        return best, tag


def cut(value: UInt64) -> UInt64:
    """The 46 bits of hashes that ``Runs.tag`` keeps."""
    return value >> _TAG_SHIFT


def runs(value: UInt64, starts: Int64, packets: Int64) -> Runs:
    """Distinct values per window, but for ``NOBODY``.

    Args:
        value: (R,) hashes, window by window.
        starts: (W,) first record of each window.
        packets: (W,) records of each window.
    """
    window, run, length = distinct_values(value, starts, packets, NOBODY)
    return Runs(window, cut(run), length)


def distinct_values(value: _Array, starts: Int64, packets: Int64, filler: np.generic) -> tuple[Int64, _Array, Int64]:
    """(U,) window, value and number of each distinct value per window, but for ``filler``, the largest of all."""
    rows = _sorted_rows(value, starts, packets, filler)
    begin = np.flatnonzero(_differs(rows))
    run = rows.reshape(-1)[begin]
    length = lengths(begin, rows.size)
    real = run != filler
    begin = begin[real]
    return begin // rows.shape[1], run[real], length[real]


def distinct_ports(port: UInt16, ported: Bool, starts: Int64, packets: Int64) -> Int64:
    """(W,) distinct ports per window of the records that have one, (R,) ``ported``; the others' is 0."""
    rows = _sorted_rows(port, starts, packets, np.uint16(0))
    distinct = np.count_nonzero(_differs(rows) & (rows != 0), axis=1)
    port_0 = np.flatnonzero((port == 0) & ported)
    if len(port_0):
        distinct[np.unique(np.searchsorted(starts, port_0, side="right") - 1)] += 1
    return distinct


def _sorted_rows(value: _Array, starts: Int64, packets: Int64, filler: np.generic) -> _Array:
    """(W, largest window) the values of each window, ascending, then filler."""
    column = np.arange(packets.max(initial=1))
    rows = value.take(starts[:, None] + column, mode="clip")
    rows[column >= packets[:, None]] = filler
    rows.sort(axis=1)
    return rows


def _differs(rows: _Array) -> np.ndarray:
    """Whether each value differs from the one before it in its row."""
    differs = np.ones(rows.shape, bool)
    np.not_equal(rows[:, 1:], rows[:, :-1], out=differs[:, 1:])
    return differs
