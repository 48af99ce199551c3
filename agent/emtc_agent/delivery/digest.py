"""Incidents in numbers, for a link whose budget runs out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from emtc_agent.addresses import time_text
from emtc_contract.messages import Alert, Digest

EVERY_S = 3_600.0


class DigestMaker:
    """Counts alerts; gives one message an hour.

    Args:
        boot: Of this run.
        now_s: Monotonic seconds.
        wall_us: Wall-clock time.
    """

    def __init__(self, boot: str, now_s: float, wall_us: int) -> None:
        self._boot = boot
        self._begin(now_s, wall_us)

    def note(self, alerts: Iterable[Alert]) -> None:
        """Count them."""
        for alert in alerts:
            if alert.state == "new":
                self._severity[str(alert.severity_id)] += 1
                self._family[alert.family.name] += 1
            elif alert.state == "end":
                self._ended += 1

    def due(self, now_s: float, wall_us: int, waiting: int) -> Digest | None:
        """The digest of the last hour, if it is over and there is anything to tell."""
        if now_s - self._since_s < EVERY_S:
            return None
        digest = Digest(
            ts=time_text(wall_us),
            boot=self._boot,
            since=time_text(self._since_us),
            opened=self._severity.total(),
            ended=self._ended,
            by_severity=dict(self._severity),
            by_family=dict(self._family),
            waiting=waiting,
        )
        self._begin(now_s, wall_us)
        return digest if digest.opened or digest.ended else None

    def _begin(self, now_s: float, wall_us: int) -> None:
        self._since_s, self._since_us = now_s, wall_us
        self._severity: Counter[str] = Counter()
        self._family: Counter[str] = Counter()
        self._ended = 0
