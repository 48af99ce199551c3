"""Cutting the records of endpoints into windows: at n packets or T seconds, whichever is first."""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Int64
from emtc_agent.windows.arrays import lengths

_FEW_GROUPS = 4
"""Below this, walking the remaining windows one by one costs less than further array rounds."""


def window_starts(clock_us: Int64, group_start: Int64, packets: int, window_us: int) -> Int64:
    """Where windows begin among records sorted by group, then time.

    A window holds at most ``packets`` records, all less than ``window_us`` after its first one.

    Args:
        clock_us: (R,) stream time, never falling within a group.
        group_start: (G,) first record of each (non-empty) group, ascending, the first 0.

    Returns:
        (W,) first record of each window, ascending; every group start is one.
    """
    total = len(clock_us)
    key = _rising_key(clock_us, group_start, window_us)
    current, end = group_start, np.append(group_start[1:], total)
    found = [current]
    while len(current) > _FEW_GROUPS:
        current = np.minimum(current + packets, np.searchsorted(key, key[current] + window_us))
        inside = current < end
        current, end = current[inside], end[inside]
        found.append(current)
    for first, last in zip(current.tolist(), end.tolist(), strict=True):
        found.append(_walk(key[first:last], packets, window_us) + first)
    starts = np.concatenate(found)
    starts.sort()
    return starts


def _rising_key(clock_us: Int64, group_start: Int64, window_us: int) -> Int64:
    """Clock values shifted per group so that the whole array rises and no window reaches the next group."""
    group_end = np.append(group_start[1:], len(clock_us)) - 1
    span = clock_us[group_end] - clock_us[group_start] + window_us
    shift = np.cumsum(span) - span - clock_us[group_start]
    return clock_us + np.repeat(shift, lengths(group_start, len(clock_us)))


def _walk(key: Int64, packets: int, window_us: int) -> Int64:
    """Window starts after the first one within a single group."""
    by_count = np.arange(0, len(key), packets)
    last = np.minimum(by_count + packets, len(key)) - 1
    if (key[last] - key[by_count] < window_us).all():
        return by_count[1:]
    after = np.minimum(np.arange(len(key)) + packets, np.searchsorted(key, key + window_us)).tolist()
    starts = []
    at = after[0]
    while at < len(key):
        starts.append(at)
        at = after[at]
    return np.array(starts, np.int64)
