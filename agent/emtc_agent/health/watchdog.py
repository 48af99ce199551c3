"""When to tell systemd that the service is alive: only while each of its parts makes progress.

A ping from a timer would go on while the pipeline hangs. Here each part reports its own turns, and one that stands
still for longer than its patience silences the pings, so that systemd restarts the service.
"""

from __future__ import annotations

from collections.abc import Mapping

PIPELINE, DELIVERY = "pipeline", "delivery"


class Watchdog:
    """Decides about pings. Pure: times are handed in, from a clock that never steps, such as ``time.monotonic``.

    A part reports turns, not successes: a delivery loop that cannot reach its broker goes on turning. Parts may
    report from threads of their own.

    Args:
        timeout_s: After which systemd restarts the service; pings come at least twice in that time.
        patience_s: By part, how long it may stand still; half of the timeout would be a usual choice.
        now_s: When watching begins; parts that have not reported yet count from here.
    """

    def __init__(self, timeout_s: float, patience_s: Mapping[str, float], now_s: float) -> None:
        self._every_s = timeout_s / 2
        self._patience_s = dict(patience_s)
        self._turned_s = dict.fromkeys(self._patience_s, now_s)
        self._pinged_s: float | None = None

    def progress(self, now_s: float, part: str = PIPELINE) -> None:
        """A part has made a turn; parts that are not watched may report as well."""
        if part in self._turned_s:
            self._turned_s[part] = now_s

    def due(self, now_s: float) -> bool:
        """Whether to ping now; having said so, not again before half of the timeout has passed."""
        waited_s = self._every_s if self._pinged_s is None else now_s - self._pinged_s
        if waited_s < self._every_s or self.standing(now_s):
            return False
        self._pinged_s = now_s
        return True

    def standing(self, now_s: float) -> tuple[str, ...]:
        """Parts that have stood still for too long."""
        return tuple(part for part, turned_s in self._turned_s.items() if now_s - turned_s > self._patience_s[part])
