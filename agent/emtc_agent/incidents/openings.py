"""When the tracker would open incidents at one endpoint, without making them: for choosing limits."""

from __future__ import annotations

from collections.abc import Iterable

from emtc_agent.incidents.evidence import SECOND_US, Evidence
from emtc_agent.incidents.tracker import IncidentConfig


def openings(times_us: Iterable[int], weights: Iterable[float], level: float, config: IncidentConfig) -> list[int]:
    """Times of openings, microseconds.

    Args:
        times_us: When each window of the endpoint ended, ascending.
        weights: What each adds to the evidence.
        level: Evidence that opens.
        config: How evidence is counted.
    """
    found: list[int] = []
    evidence, is_open, odd_us = Evidence(config.half_life_s), False, 0
    for ts_us, weight in zip(times_us, weights, strict=True):
        if is_open and ts_us - odd_us > config.close_after_s * SECOND_US:
            evidence, is_open = Evidence(config.half_life_s), False
        reached = evidence.add(ts_us, weight)
        if weight > 0:
            odd_us = ts_us
            if not is_open and reached >= level:
                is_open = True
                found.append(ts_us)
    return found
