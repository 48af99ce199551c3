"""Evidence of one endpoint: how strongly its windows of late speak against being benign.

A window weighs -ln p less a drift, so that benign windows draw the sum down and odd ones drive it up, one very odd
window as far as several that are a little odd. It is counted in seconds: a flood closes thousands of windows a second
and so gets thousands of lucky tries (docs/decisions/004-evidence.md).
"""

from __future__ import annotations

SECOND_US = 1_000_000


class Evidence:
    """The sum so far.

    Args:
        half_life_s: After so long without windows half of it is left.

    Attributes:
        level: The sum; never below 0.
    """

    def __init__(self, half_life_s: float) -> None:
        self.level = 0.0
        self._half_life_us = half_life_s * SECOND_US
        self._second = -1
        self._since_us = 0
        self._before = 0.0  # the sum when this second began
        self._best = self._next = 0.0

    def left(self, ts_us: int) -> float:
        """What is left of the level at ``ts_us`` without another window."""
        gone_us = max(ts_us - self._since_us, 0) if self._second >= 0 else 0
        return float(self.level * 0.5 ** (gone_us / self._half_life_us))

    def add(self, ts_us: int, weight: float) -> float:
        """Take in a window that ended at ``ts_us``: of a second its weightiest counts, and half of the next.

        Returns:
            The level.
        """
        second = ts_us // SECOND_US
        if second > self._second:
            self._before = self.left(ts_us)
            self._best, self._next = weight, 0.0
            self._second, self._since_us = second, ts_us
        elif weight > self._best:
            self._best, self._next = weight, max(self._best, 0.0)
        else:
            self._next = max(self._next, weight)
        self.level = max(self._before + self._best + self._next / 2, 0.0)
        return self.level
