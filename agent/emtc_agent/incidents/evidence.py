"""Evidence of one endpoint, counted in seconds.

A flood closes thousands of windows a second and so gets thousands of lucky tries; a second of traffic counts
once, however many of its windows exceed, and twice at most when several do (docs/decisions/004-evidence.md).
"""

from __future__ import annotations

from collections import deque

SECOND_US = 1_000_000


class Evidence:
    """Points of the last ``span_s`` seconds of one endpoint.

    Args:
        span_s: How long a point counts.
        many: So many exceeding windows within one second give it a second point.
    """

    def __init__(self, span_s: float, many: int) -> None:
        self._span_us = int(span_s * SECOND_US)
        self._many = many
        self._seconds: deque[list[int]] = deque()  # [second, exceeding windows]

    def add(self, ts_us: int) -> None:
        """Note an exceeding window that ended at ``ts_us``."""
        second = ts_us // SECOND_US
        for entry in reversed(self._seconds):
            if entry[0] == second:
                entry[1] += 1
                return
            if entry[0] < second:
                break
        self._seconds.append([second, 1])

    def points(self, now_us: int) -> int:
        """Points at ``now_us``; older ones are dropped."""
        oldest = (now_us - self._span_us) // SECOND_US
        while self._seconds and self._seconds[0][0] < oldest:
            self._seconds.popleft()
        return sum(2 if windows >= self._many else 1 for _, windows in self._seconds)
