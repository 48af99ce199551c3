"""What may not enter the sample: docs/decisions/019-learning.md tells why.

Always: windows of an endpoint with an open incident, the ``hold_s`` seconds before it opened, and as long after the
last such window. Unless the operator trusts the site's traffic also: every window above the 99.9th percentile.
Of trusted traffic an odd window is kept out only if it looks like an attack of a family that the operator did not
accept, and an incident taints its endpoint only if most of its odd windows do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from emtc_agent.detector import Scored
from emtc_agent.incidents.evidence import SECOND_US
from emtc_agent.incidents.family import UNKNOWN, vote
from emtc_agent.learning.rows import Key
from emtc_agent.packets import Bool
from emtc_agent.windows.windows import EndpointKind, Windows

FAMILIES = ("spoofing", "exfiltration", "brute force", "recon", "flood")
"""What ``family.vote`` can tell."""

ODD, INCIDENT = "odd", "incident"  # reasons; the others are families of attack
_MOST_ENDPOINTS = 1_024
_LEAST_LOOKS = 3
_OTHERS: Key = (int(EndpointKind.OVERFLOW), 0, 0)


@dataclass(frozen=True, slots=True)
class QuarantineConfig:
    """When windows are kept out.

    Attributes:
        odd_p: Windows with a lower p-value are odd.
        hold_s: How far back an incident taints its endpoint's windows, and for how long after its last window.
    """

    odd_p: float = 1e-3
    hold_s: float = 300.0


@dataclass(slots=True)
class Tally:
    """What was kept out and what came in although it was odd.

    Attributes:
        refused: Windows by reason: ``"odd"``, ``"incident"``, or the family of attack that they look like.
        refused_of: Windows by endpoint.
        odd_of: Odd windows that came in because the site is trusted, by endpoint.
    """

    refused: Counter[str] = field(default_factory=Counter)
    refused_of: Counter[Key] = field(default_factory=Counter)
    odd_of: Counter[Key] = field(default_factory=Counter)


class Quarantine:
    """The rules.

    Args:
        columns: Names of the features.
        trusted: Whether an operator vouches for the site's traffic.
        accepted: Families of attack that benign traffic of a trusted site looks like.
        config: The limits.

    Attributes:
        tally: What it did so far.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        *,
        trusted: bool = False,
        accepted: Collection[str] = (),
        config: QuarantineConfig | None = None,
    ) -> None:
        self.tally = Tally()
        self._columns = columns
        self._trusted = trusted
        self._ordinary = {UNKNOWN, *accepted}
        self._counts: dict[Key, list[int]] = {}  # of trusted suspects: odd windows, and those that look like attacks
        self._config = config or QuarantineConfig()
        self._barred: dict[Key, int] = {}  # until when

    def admit(self, windows: Windows, scored: Scored, suspects: Collection[Key]) -> tuple[Bool, dict[Key, int]]:
        """Judge the scored windows of a batch.

        Args:
            windows: The batch.
            scored: Its scored windows.
            suspects: Endpoints with an open incident; not those with some evidence, which one window in 20 gives.

        Returns:
            (S,) which may enter, and from which capture time on an endpoint's earlier windows must leave.
        """
        odd = scored.p_value < self._config.odd_p
        if not (odd.any() or suspects or self._barred):
            return ~odd, {}
        looks = self._looks(windows, scored, odd)
        keys = _keys(windows, scored)
        guilty = self._guilty(keys, odd, looks, set(keys).intersection(suspects))
        leave = self._bar(windows, scored, keys, guilty)
        admitted = np.ones(len(keys), bool)
        for row, key in enumerate(keys):
            reason = self._refusal(key, int(windows.last_us[scored.index[row]]), bool(odd[row]), looks.get(row))
            if reason:
                admitted[row] = False
                self.tally.refused[reason] += 1
                _count(self.tally.refused_of, key)
            elif odd[row]:
                _count(self.tally.odd_of, key)
        return admitted, leave

    def barred(self) -> dict[Key, int]:
        """Endpoints that are kept out, and until what capture time."""
        return dict(self._barred)

    def bar_again(self, barred: dict[Key, int], tally: Tally) -> None:
        """Go on from an earlier state."""
        self._barred, self.tally = barred, tally

    def _looks(self, windows: Windows, scored: Scored, odd: Bool) -> dict[int, str]:
        """The family of attack that odd windows look like, by row; those that look like none are left out."""
        features = windows.features
        votes = (
            (row, vote(dict(zip(self._columns, features[scored.index[row]].tolist(), strict=True))))
            for row in np.flatnonzero(odd).tolist()
        )
        return {row: family for row, family in votes if family not in self._ordinary}

    def _guilty(self, keys: list[Key], odd: Bool, looks: dict[int, str], suspects: set[Key]) -> set[Key]:
        """The endpoints to keep out among those of a batch that have an open incident."""
        if not self._trusted:
            return suspects
        for key in set(keys) - suspects:
            self._counts.pop(key, None)
        for row in np.flatnonzero(odd).tolist() if suspects else ():
            if keys[row] in suspects:
                counts = self._counts.setdefault(keys[row], [0, 0])
                counts[0] += 1
                counts[1] += row in looks
        counted = {key: self._counts.get(key, [0, 0]) for key in suspects}
        return {key for key, (all_odd, like) in counted.items() if like >= _LEAST_LOOKS and 2 * like > all_odd}

    def _bar(self, windows: Windows, scored: Scored, keys: list[Key], guilty: set[Key]) -> dict[Key, int]:
        """Keep endpoints out; returns those that were not before, and since when."""
        hold_us = int(self._config.hold_s * SECOND_US)
        leave: dict[Key, int] = {}
        for row, key in enumerate(keys if guilty else ()):
            ts_us = int(windows.last_us[scored.index[row]])
            if key in guilty:
                if self._barred.get(key, -1) < ts_us:
                    leave.setdefault(key, ts_us - hold_us)
                self._barred[key] = ts_us + hold_us
        if len(self._barred) > _MOST_ENDPOINTS:
            now_us = int(windows.last_us.max())
            self._barred = {key: until_us for key, until_us in self._barred.items() if until_us >= now_us}
        return leave

    def _refusal(self, key: Key, ts_us: int, odd: bool, looks: str | None) -> str | None:
        """Why a window may not enter, if so."""
        if self._barred and ts_us <= self._barred.get(key, -1):
            return INCIDENT
        if not odd:
            return None
        return looks if self._trusted else ODD


def _keys(windows: Windows, scored: Scored) -> list[Key]:
    at = scored.index
    return list(zip(windows.kind[at].tolist(), windows.id_hi[at].tolist(), windows.id_lo[at].tolist(), strict=True))


def _count(counter: Counter[Key], key: Key) -> None:
    """Count an endpoint; when there are too many, the rest together."""
    counter[key if key in counter or len(counter) < _MOST_ENDPOINTS else _OTHERS] += 1
