"""Scored windows as plain Python values: a column is taken over at once, a row costs next to nothing afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from emtc_agent.detector import Scored
from emtc_agent.packets import Float64
from emtc_agent.windows.windows import Windows

Key = tuple[int, int, int]


class ScoredRow(NamedTuple):
    """A scored window.

    Attributes:
        row: Its place among the scored ones.
        at: Its place among the windows.
        key: Whom it is of.
        first_us, last_us: When.
        weight: What it adds to the evidence.
        score, p_value: As scored.
    """

    row: int
    at: int
    key: Key
    first_us: int
    last_us: int
    weight: float
    score: float
    p_value: float


def scored_rows(windows: Windows, scored: Scored, weight: Float64) -> Iterator[ScoredRow]:
    """Each scored window, in order."""
    at = scored.index
    keys = zip(windows.kind[at].tolist(), windows.id_hi[at].tolist(), windows.id_lo[at].tolist(), strict=True)
    return map(
        ScoredRow,
        range(len(at)),
        at.tolist(),
        keys,
        windows.first_us[at].tolist(),
        windows.last_us[at].tolist(),
        weight.tolist(),
        scored.score.tolist(),
        scored.p_value.tolist(),
    )
