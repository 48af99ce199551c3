"""An alarm when a site's everyday traffic is no longer what the calibration says; nothing adapts by itself.

By the hour, the share of windows with p-values up to 5 % is compared with what it should be: a sequential test of a
doubled share (Page's CUSUM of the log-likelihood ratio, 1954). An hour counts as few windows, because windows of one
hour are not independent, and adds so little that one odd hour alone never alarms. Endpoints with an open incident are
left out, and of each other endpoint only so many windows an hour count: no device speaks for the site.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from emtc_agent.detector import Scored
from emtc_agent.learning.rows import Key
from emtc_agent.packets import Bool, Float64
from emtc_agent.windows.windows import Windows

_HOUR_US = 3_600_000_000
_UNUSUAL_P = 0.05
_MOST_ENDPOINTS = 4_096
_TOLD = 5


@dataclass(frozen=True, slots=True)
class DriftConfig:
    """When to alarm.

    Attributes:
        usual_share: Share of windows with p-values up to 5 % when nothing has changed.
        ratio: The multiple of it to look for.
        counts_as: Independent windows that an hour stands for, at most.
        least_windows: An hour with fewer is taken together with the next.
        per_endpoint: Most windows of an endpoint and hour that count.
        alarm_level: Sum of log-likelihood ratios that alarms.
        hours: An hour adds at most this part of the level, 1 / hours.
        ends_below: The alarm ends when the sum has fallen to this part of the level.
    """

    usual_share: float = 0.05
    ratio: float = 2.0
    counts_as: int = 60
    least_windows: int = 60
    per_endpoint: int = 240
    alarm_level: float = 8.0
    hours: int = 4
    ends_below: float = 0.1


@dataclass(frozen=True, slots=True)
class Drift:
    """The site's traffic has changed.

    Attributes:
        since_us: Capture time at which it began to.
        ratio: Share of unusual windows since then, in multiples of the usual share.
        features: Features whose errors rose most, strongest first.
    """

    since_us: int
    ratio: float
    features: tuple[str, ...]


class DriftWatch:
    """Watches one site.

    Args:
        columns: Names of the features.
        config: When to alarm.

    Attributes:
        drifting: Whether an alarm was given and has not ended.
    """

    def __init__(self, columns: tuple[str, ...], config: DriftConfig | None = None) -> None:
        self.drifting = False
        self._columns = columns
        self._config = config or DriftConfig()
        self.restart()

    def restart(self) -> None:
        """Forget all: another calibration is in use."""
        self.drifting = False
        self._sum = 0.0
        self._hour = -1
        self._usual_errors: Float64 | None = None
        self._since_us = 0
        self._moved = _Span(len(self._columns))
        self._new_hour()

    def observe(self, windows: Windows, scored: Scored, suspects: Collection[Key]) -> Drift | None:
        """Take in a batch; returns the alarm when it is given.

        Args:
            windows: The batch.
            scored: Its scored windows.
            suspects: Endpoints with an open incident.
        """
        if not len(scored.index):
            return None
        alarm = self.tick(int(windows.last_us.max()))
        counted = self._counted(windows, scored, suspects)
        self._now.add(scored.p_value[counted] <= _UNUSUAL_P, scored.errors[counted].astype(np.float64))
        return alarm

    def tick(self, now_us: int) -> Drift | None:
        """Let time pass; returns the alarm when it is given."""
        hour = now_us // _HOUR_US
        if hour == self._hour:
            return None
        ended, self._hour = self._hour, hour
        self._of_endpoint.clear()
        if ended < 0 or self._now.windows < self._config.least_windows:
            return None
        alarm = self._hour_ended(ended * _HOUR_US)
        self._new_hour()
        return alarm

    def _new_hour(self) -> None:
        self._now = _Span(len(self._columns))
        self._of_endpoint: Counter[Key] = Counter()

    def _counted(self, windows: Windows, scored: Scored, suspects: Collection[Key]) -> Bool:
        """(S,) which windows count."""
        at = scored.index
        counted = np.zeros(len(at), bool)
        keys = zip(windows.kind[at].tolist(), windows.id_hi[at].tolist(), windows.id_lo[at].tolist(), strict=True)
        for row, key in enumerate(keys):
            seen = self._of_endpoint[key]
            if seen >= self._config.per_endpoint or (not seen and len(self._of_endpoint) >= _MOST_ENDPOINTS):
                continue
            if key in suspects:
                continue
            self._of_endpoint[key] = seen + 1
            counted[row] = True
        return counted

    def _hour_ended(self, hour_us: int) -> Drift | None:
        if self._sum <= 0:
            self._since_us, self._moved = hour_us, _Span(len(self._columns))
        self._sum = max(self._sum + self._evidence(self._now.share), 0.0)
        self._moved.merge(self._now)
        if self._sum <= 0:
            self._learn_usual(self._now.mean_errors)
        if self.drifting:
            self.drifting = self._sum > self._config.ends_below * self._config.alarm_level
        elif self._sum >= self._config.alarm_level:
            self.drifting = True
            return Drift(self._since_us, round(self._moved.share / self._config.usual_share, 2), self._features())
        return None

    def _evidence(self, share: float) -> float:
        """Log-likelihood ratio of an hour, held within bounds."""
        config = self._config
        usual, raised = config.usual_share, min(config.usual_share * config.ratio, 0.95)
        per_window = share * np.log(raised / usual) + (1 - share) * np.log((1 - raised) / (1 - usual))
        most = config.alarm_level / config.hours
        bounded = min(max(config.counts_as * float(per_window), -most), most)
        return min(bounded, config.alarm_level * 1.5 - self._sum)  # so that the end is not hours away

    def _learn_usual(self, errors: Float64) -> None:
        self._usual_errors = errors if self._usual_errors is None else 0.9 * self._usual_errors + 0.1 * errors

    def _features(self) -> tuple[str, ...]:
        usual = np.ones(len(self._columns)) if self._usual_errors is None else self._usual_errors
        rise = self._moved.mean_errors - usual
        return tuple(self._columns[at] for at in np.argsort(-rise, kind="stable")[:_TOLD].tolist() if rise[at] > 0)


class _Span:
    """Windows of some time, summed."""

    def __init__(self, columns: int) -> None:
        self.windows = self._unusual = 0
        self._errors = np.zeros(columns)

    @property
    def share(self) -> float:
        """Share of unusual windows."""
        return self._unusual / max(self.windows, 1)

    @property
    def mean_errors(self) -> Float64:
        """(F,) mean error of each feature."""
        return self._errors / max(self.windows, 1)

    def add(self, unusual: Bool, errors: Float64) -> None:
        """Take in windows."""
        self.windows += len(unusual)
        self._unusual += int(unusual.sum())
        self._errors += errors.sum(axis=0)

    def merge(self, other: _Span) -> None:
        """Take in another span."""
        self.windows += other.windows
        self._unusual += other._unusual
        self._errors += other._errors
