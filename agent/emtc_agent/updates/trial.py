"""Whether a new model stays: a pure policy over what it did since the switch, against what the model before it did.

Time is handed in as monotonic seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import msgspec

_REMEMBERED_WINDOWS, _REMEMBERED_S = 20_000, 7_200.0
_SLACK = 4.0  # standard deviations of a Poisson count
_FIRST_H = 0.25  # incidents of the first minutes are held against what a quarter of an hour may bring


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """Bands that a new model must stay in, and for how long.

    A limit is the ratio times what the model before did, but never below the floor, which also counts where nothing
    is known of the model before.

    Attributes:
        trial_s: How long a trial takes ...
        longest_s: ... and how long at most, while fewer than ``min_windows`` were scored.
        min_windows: Before so many windows, shares and latencies say nothing.
        max_deaths: How often the process may die during one trial.
        max_slowdown: Ratio of the time per window ...
        latency_floor_s: ... and its floor, in seconds per window.
        max_unusual_ratio: Ratio of the share of windows with p < 0.001 ...
        unusual_floor: ... and its floor, a share.
        min_unusual_share: Share below which a model is taken to be blind; 0 where benign traffic may have none.
        max_incident_ratio: Ratio of incidents per hour ...
        incident_floor_per_h: ... and its floor.
    """

    trial_s: float = 3_600.0
    longest_s: float = 86_400.0
    min_windows: int = 200
    max_deaths: int = 2
    max_slowdown: float = 5.0
    latency_floor_s: float = 0.002
    max_unusual_ratio: float = 5.0
    unusual_floor: float = 0.02
    min_unusual_share: float = 0.0
    max_incident_ratio: float = 5.0
    incident_floor_per_h: float = 20.0


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model before did; None where too little is known.

    Attributes:
        seconds_per_window: Time that scoring took.
        unusual_share: Share of windows with p < 0.001.
        incidents_per_h: Incidents opened.
    """

    seconds_per_window: float | None = None
    unusual_share: float | None = None
    incidents_per_h: float | None = None


@dataclass(slots=True)
class Tally:
    """What a model did.

    Attributes:
        windows: Scored.
        seconds: That took.
        unusual: Windows with p < 0.001.
        incidents: Opened.
    """

    windows: float = 0
    seconds: float = 0.0
    unusual: float = 0
    incidents: float = 0

    def add(self, windows: int, seconds: float, unusual: int, incidents: int) -> None:
        """Count a batch."""
        self.windows += windows
        self.seconds += seconds
        self.unusual += unusual
        self.incidents += incidents

    def halve(self) -> None:
        """Let what is long ago count less."""
        self.windows, self.seconds, self.unusual, self.incidents = (
            one / 2 for one in (self.windows, self.seconds, self.unusual, self.incidents)
        )


@dataclass(slots=True)
class Baseline:
    """What the model in use does, the recent past more than the distant.

    Attributes:
        begin_s: When it began, or what counts as that.
        tally: Since then.
    """

    begin_s: float
    tally: Tally = field(default_factory=Tally)

    def observe(self, now_s: float, windows: int, seconds: float, unusual: int, incidents: int) -> None:
        """Count a batch."""
        self.tally.add(windows, seconds, unusual, incidents)
        if self.tally.windows > _REMEMBERED_WINDOWS and now_s - self.begin_s > _REMEMBERED_S:
            self.tally.halve()
            self.begin_s = (self.begin_s + now_s) / 2

    def expected(self, now_s: float, config: TrialConfig) -> Expected:
        """What to expect of its successor."""
        tally, hours = self.tally, (now_s - self.begin_s) / 3_600
        if tally.windows < config.min_windows:
            return Expected()
        return Expected(
            tally.seconds / tally.windows,
            tally.unusual / tally.windows,
            tally.incidents / hours if hours >= _FIRST_H else None,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a model on trial, and why."""

    decision: Literal["wait", "confirm", "roll back"]
    why: str = ""


class Trial:
    """One model on trial.

    Args:
        config: Bands.
        expected: What the model before did.
        begin_s: Now.
        passed_s: How much of the trial passed before the process was restarted.
    """

    def __init__(self, config: TrialConfig, expected: Expected, begin_s: float, passed_s: float = 0.0) -> None:
        self._config = config
        self._expected = expected
        self._begin_s = begin_s
        self._passed_s = passed_s
        self._tally = Tally()

    def observe(self, windows: int, seconds: float, unusual: int, incidents: int) -> None:
        """Count a batch."""
        self._tally.add(windows, seconds, unusual, incidents)

    def passed_s(self, now_s: float) -> float:
        """How long it has been on trial, restarts left out."""
        return self._passed_s + max(now_s - self._begin_s, 0.0)

    def verdict(self, now_s: float) -> Verdict:
        """What to do with it now."""
        passed_s, config = self.passed_s(now_s), self._config
        why = self._too_many_incidents(now_s)
        if self._tally.windows >= config.min_windows:
            why = self._too_slow() or self._out_of_band() or why
        if why:
            return Verdict("roll back", why)
        enough = self._tally.windows >= config.min_windows or passed_s >= config.longest_s
        return Verdict("confirm" if enough and passed_s >= config.trial_s else "wait")

    def _too_slow(self) -> str:
        took_s = self._tally.seconds / self._tally.windows
        limit_s = _limit(self._config.max_slowdown, self._expected.seconds_per_window, self._config.latency_floor_s)
        return f"{took_s:.2g} s per window, allowed {limit_s:.2g}" if took_s > limit_s else ""

    def _out_of_band(self) -> str:
        windows, share = self._tally.windows, self._tally.unusual / self._tally.windows
        high = _limit(self._config.max_unusual_ratio, self._expected.unusual_share, self._config.unusual_floor)
        low = self._config.min_unusual_share
        if self._tally.unusual > _with_slack(windows * high):
            return f"{share:.2g} of {windows:g} windows unusual, allowed {high:.2g}"
        if self._tally.unusual < windows * low - _SLACK * math.sqrt(windows * low):
            return f"{share:.2g} of {windows:g} windows unusual, expected at least {low:.2g}"
        return ""

    def _too_many_incidents(self, now_s: float) -> str:
        hours = max((now_s - self._begin_s) / 3_600, _FIRST_H)
        config = self._config
        limit = _limit(config.max_incident_ratio, self._expected.incidents_per_h, config.incident_floor_per_h)
        if self._tally.incidents <= _with_slack(limit * hours):
            return ""
        return f"{self._tally.incidents:g} incidents in {hours:.2g} h, allowed {limit:.2g} an hour"


def _limit(ratio: float, expected: float | None, floor: float) -> float:
    return max(ratio * (expected or 0.0), floor)


def _with_slack(count: float) -> float:
    return count + _SLACK * math.sqrt(count)
