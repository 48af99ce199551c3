"""A steady rate with some room for bursts."""

from __future__ import annotations


class Pace:
    """A token bucket.

    Args:
        per_s: Rate.
        burst: Most at once after a pause.
    """

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = float(burst)
        self._at_s: float | None = None

    def allowed(self, now_s: float) -> int:
        """How many may go now; they count only once ``spend`` is called."""
        if self._at_s is not None:
            self._left = min(self._left + max(now_s - self._at_s, 0.0) * self._per_s, self._burst)
        self._at_s = now_s
        return int(self._left)

    def spend(self, number: int) -> None:
        """So many have gone."""
        self._left -= number

    @property
    def wait_s(self) -> float:
        """Seconds until one more may go."""
        return max(1.0 - self._left, 0.0) / self._per_s
