"""How long to wait before the next attempt: longer each time, and never at the same moment as everybody else."""

from __future__ import annotations

import random

_LASTED_S = 60.0


class Backoff:
    """Exponential, with full jitter (each wait is drawn from the upper half of its range).

    Args:
        least_s: First wait.
        most_s: Longest wait.
        rng: Source of the jitter.
    """

    def __init__(self, least_s: float = 1.0, most_s: float = 300.0, rng: random.Random | None = None) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._rng = rng or random.SystemRandom()
        self._failures = 0

    def next_s(self, lasted_s: float = 0.0) -> float:
        """Seconds to wait now.

        Args:
            lasted_s: How long the last attempt held; a minute counts as success.
        """
        if lasted_s >= _LASTED_S:
            self._failures = 0
        limit_s = min(self._least_s * 2.0 ** min(self._failures, 30), self._most_s)
        self._failures += 1
        return limit_s * (0.5 + self._rng.random() / 2)
