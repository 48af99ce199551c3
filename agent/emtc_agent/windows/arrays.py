"""Array idioms that grouping needs everywhere."""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Bool, Int64, UInt64


def is_first(sorted_values: Int64 | UInt64) -> Bool:
    """(N,) whether each element of a sorted array is the first of its value."""
    first = np.ones(len(sorted_values), bool)
    first[1:] = sorted_values[1:] != sorted_values[:-1]
    return first


def running_maximum(values: Int64) -> Int64:
    """(N,) the largest value so far; quick where values never fall."""
    return values if (values[1:] >= values[:-1]).all() else np.maximum.accumulate(values)


def lengths(start: Int64, total: int) -> Int64:
    """(G,) sizes of the consecutive groups that begin at ``start`` (G,) among ``total`` elements."""
    end = np.empty_like(start)
    end[:-1] = start[1:]
    end[-1:] = total
    return end - start


def ranks(count: Int64) -> Int64:
    """0..count-1 for each count, one after the other: ``ranks([2, 3]) = [0, 1, 0, 1, 2]``."""
    total = int(count.sum())
    return np.arange(total) - np.repeat(np.cumsum(count) - count, count)
