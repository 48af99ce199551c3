"""Reading fixed-width headers at many places of the bytes at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from emtc_agent.packets import Bytes, Int64

Rows = Int64 | slice
"""Which packets of a batch: indices, or ``slice(None)`` for all (no gather, no scatter)."""

EVERY = slice(None)


def headers(data: Bytes, at: Int64, available: Int64, layout: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """(K,) records of ``layout`` read at ``at``; bytes beyond ``available`` read as 0.

    Args:
        data: The batch's bytes.
        at: (K,) index of each header.
        available: (K,) captured bytes from there on; may be negative.
        layout: Packed structured dtype.
    """
    records = rows_at(data, at, layout)
    short = available < layout.itemsize
    if short.any():
        cut = np.flatnonzero(short)
        octets = records.view(np.uint8).reshape(-1, layout.itemsize)
        octets[cut] *= np.arange(layout.itemsize) < available[cut, None]
    return records


def rows_at(data: Bytes, at: Int64, layout: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """(K,) records of ``layout`` read at ``at``, whatever bytes are there; never beyond ``data``."""
    width = layout.itemsize
    if len(data) < width:
        data = np.concatenate([data, np.zeros(width, np.uint8)])
    rows = np.ndarray((len(data) - width + 1,), f"V{width}", buffer=data, strides=(1,))
    return rows[np.minimum(at, len(rows) - 1)].view(layout)
