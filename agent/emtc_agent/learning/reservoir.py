"""A bounded sample of the windows seen so far, each endpoint's part of it bounded as well.

Each window draws a number; those with the lowest are kept. So the sample is uniform without knowing how many windows
there will be (bottom-k sampling: Cohen and Kaplan, 2007), and stays so when windows are retracted. An endpoint at its
cap keeps the lowest of its own windows, which is a uniform sample of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emtc_agent.learning.rows import Key, Rows, join, no_rows
from emtc_agent.packets import Float64, Int64
from emtc_agent.windows.arrays import lengths, ranks

_PENDING = 1_024
_NEVER = np.iinfo(np.int64).max


class Reservoir:
    """The sample.

    Args:
        columns: Features per window.
        capacity: Most windows kept; 8,192 of 59 features take 4.3 MB.
        share: Most of them that one endpoint may have.
        seed: Decides the draws, with the number of windows offered.

    Attributes:
        offered: Windows offered so far.
    """

    def __init__(self, columns: int, capacity: int = 8_192, share: float = 0.25, seed: int = 0) -> None:
        self.offered = 0
        self._capacity = capacity
        self._cap = max(int(capacity * share), 1)
        self._seed = seed
        self._rng = np.random.default_rng([seed, 0])
        self._parts = [no_rows(columns)]
        self._draws: list[Float64] = [np.zeros(0)]
        self._limit = np.inf  # a higher number has no chance
        self._pending = 0

    def __len__(self) -> int:
        self._compact()
        return len(self._parts[0])

    def offer(self, rows: Rows) -> None:
        """Let windows try to enter."""
        draw = self._rng.random(len(rows))
        self.offered += len(rows)
        chance = draw < self._limit
        entering = int(chance.sum())
        if entering:
            self._parts.append(rows.take(chance))
            self._draws.append(draw[chance])
            self._pending += entering
        if self._pending >= _PENDING:
            self._compact()

    def retract(self, since_us: Mapping[Key, int]) -> int:
        """Remove the windows of endpoints that ended at ``since_us[endpoint]`` or later; returns how many."""
        self._compact()
        rows, draw = self._parts[0], self._draws[0]
        begin = np.array([since_us.get(key, _NEVER) for key in rows.endpoints()], np.int64)
        stay = rows.last_us < begin
        self._parts, self._draws = [rows.take(stay)], [draw[stay]]
        return int((~stay).sum())

    def rows(self) -> Rows:
        """The sample in the order in which it was offered."""
        self._compact()
        return self._parts[0].take(np.argsort(self._parts[0].order, kind="stable"))

    def dump(self) -> tuple[Rows, Float64]:
        """Rows and their draws, for ``load``."""
        self._compact()
        return self._parts[0], self._draws[0]

    def load(self, rows: Rows, draw: Float64, offered: int) -> None:
        """Go on from what ``dump`` gave and from how many windows had been offered."""
        self._parts, self._draws, self.offered = [rows], [draw], offered
        self._rng = np.random.default_rng([self._seed, offered])
        self._pending = 0
        self._limit = float(draw.max()) if len(rows) >= self._capacity else np.inf

    def _compact(self) -> None:
        if not self._pending:
            return
        rows, draw = join(self._parts), np.concatenate(self._draws)
        kept = self._within_cap(rows, draw)
        if len(kept) >= self._capacity:
            kept = kept[np.argsort(draw[kept], kind="stable")[: self._capacity]]
            self._limit = float(draw[kept[-1]])
        self._parts, self._draws, self._pending = [rows.take(kept)], [draw[kept]], 0

    def _within_cap(self, rows: Rows, draw: Float64) -> Int64:
        """Indices of the rows that are among the lowest of their endpoint."""
        order = np.lexsort((draw, rows.id_lo, rows.id_hi, rows.kind))
        rank = ranks(lengths(rows.starts(order), len(order)))
        return order[rank < self._cap]
