"""The latest windows, all of them and in order, to judge on what learning did not see.

Nothing is kept out here: a false-alarm rate measured on windows that were chosen for being unremarkable says nothing.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import msgspec
import numpy as np

from emtc_agent.detector.calibration import weights
from emtc_agent.incidents.evidence import SECOND_US
from emtc_agent.incidents.openings import openings
from emtc_agent.incidents.tracker import IncidentConfig
from emtc_agent.learning.rows import Rows, join, no_rows
from emtc_agent.packets import Float64

_PENDING = 512
_HOUR_US = 3_600 * SECOND_US
_HOURS_PER_DAY = 24
_SILENCE_US = 600 * SECOND_US


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often windows of a time are told to be unusual.

    Attributes:
        above_5, above_1, above_01: Share of windows with p-values up to 5 %, 1 % and 0.1 %.
        incidents: Incidents that open.
        per_device_day: Incidents in 24 hours of one device.
        at_most: The same, at the upper end of its 95 % interval.
        attacks_seen: Share of the bundle's made-up attacks with p-values up to 1 %; None if it was not asked.
    """

    above_5: float
    above_1: float
    above_01: float
    incidents: int
    per_device_day: float
    at_most: float
    attacks_seen: float | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """Counts what p-values would cause.

    Attributes:
        open_level: Evidence that opens an incident.
        config: How evidence is counted.
    """

    open_level: float
    config: IncidentConfig

    def figures(self, rows: Rows, p_value: Float64) -> Figures:
        """What windows (N,) in the order of scoring would cause with these p-values; N is at least 1."""
        incidents = sum(self._opened(rows.last_us[mine].tolist(), p_value[mine]) for mine in rows.by_endpoint())
        days = device_hours(rows) / _HOURS_PER_DAY
        above_5, above_1, above_01 = (round(float(np.mean(p_value <= level)), 5) for level in (0.05, 0.01, 0.001))
        return Figures(
            above_5=above_5,
            above_1=above_1,
            above_01=above_01,
            incidents=incidents,
            per_device_day=round(incidents / days, 2) if days else 0.0,
            at_most=round(most_likely(incidents) / days, 2) if days else 0.0,
        )

    def _opened(self, times_us: list[int], p_value: Float64) -> int:
        """Incidents that the tracker would open at one endpoint."""
        weight = weights(p_value, self.config.drift, self.config.cap)
        return len(openings(times_us, weight.tolist(), self.open_level, self.config))


class Trial:
    """The latest windows.

    Args:
        columns: Features per window.
        capacity: Most windows kept; 8,192 of 59 features take 2.4 MB.
    """

    def __init__(self, columns: int, capacity: int = 8_192) -> None:
        self._columns = columns
        self._capacity = capacity
        self._chunks: deque[Rows] = deque()
        self._pending: list[Rows] = []
        self._held = self._waiting = 0

    def add(self, rows: Rows) -> None:
        """Take in windows; the oldest leave when there is no room."""
        self._pending.append(without_features(rows))
        self._waiting += len(rows)
        if self._waiting >= _PENDING:
            self._gather()

    def rows(self, least_order: int = 0) -> Rows:
        """The windows from a number on, in order."""
        self._gather()
        held = join(list(self._chunks)) if self._chunks else no_rows(self._columns, 0)
        latest = held.take(slice(max(len(held) - self._capacity, 0), None))
        return latest.take(latest.order >= least_order)

    def load(self, rows: Rows) -> None:
        """Go on from what ``rows`` gave."""
        self._chunks, self._held = deque([rows] if len(rows) else []), len(rows)

    def _gather(self) -> None:
        if not self._pending:
            return
        self._chunks.append(join(self._pending))
        self._held += self._waiting
        self._pending, self._waiting = [], 0
        while self._held - len(self._chunks[0]) >= self._capacity:
            self._held -= len(self._chunks.popleft())


def without_features(rows: Rows) -> Rows:
    """The same rows; their features are not kept."""
    held = {name: getattr(rows, name) for name in Rows.__slots__}
    return Rows(**held | {"features": np.zeros((len(rows), 0), np.float32)})


def device_hours(rows: Rows) -> float:
    """How long endpoints were heard, summed; a silence counts ten minutes at most: rates shall not be flattered."""
    heard_us = 0
    for mine in rows.by_endpoint():
        ends_us = rows.last_us[mine]
        heard_us += int(ends_us[0] - rows.first_us[mine[0]]) + int(np.clip(np.diff(ends_us), 0, _SILENCE_US).sum())
    return heard_us / _HOUR_US


def most_likely(count: int) -> float:
    """Upper end of the 95 % interval of a Poisson mean after ``count`` events (one-sided; 3.0 for none).

    The chi-square quantile by Wilson and Hilferty's cube, within 0.1 of the exact value.
    """
    degrees = 2 * (count + 1)
    part = 2 / (9 * degrees)
    return round(degrees / 2 * (1 - part + 1.6449 * math.sqrt(part)) ** 3, 3)
