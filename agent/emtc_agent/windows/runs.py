"""Distinct values per window: each window is a short row, and rows are sorted one by one."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from emtc_agent.packets import Int64, UInt16, UInt64
from emtc_agent.windows.arrays import lengths

_Array = TypeVar("_Array", UInt16, UInt64)


def distinct_values(value: _Array, starts: Int64, packets: Int64, filler: np.generic) -> tuple[Int64, _Array, Int64]:
    """(U,) window, value and number of each distinct value per window, but for ``filler``, the largest of all."""
    rows = _sorted_rows(value, starts, packets, filler)
    begin = np.flatnonzero(_differs(rows))
    run = rows.reshape(-1)[begin]
    length = lengths(begin, rows.size)
    real = run != filler
    begin = begin[real]
    return begin // rows.shape[1], run[real], length[real]


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
