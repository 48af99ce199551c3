"""Capture times that go on steadily when the wall clock is set.

The kernel stamps packets by the wall clock, which NTP or an operator may set by a year. Windows and incidents need a
clock that only goes on, so a step (more than a second against the monotonic clock) is taken out of the times, and
kept as the shift that makes wall-clock time of them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from emtc_agent.packets import Int64, PacketBatch

_STEP_US = 1_000_000
_MIXED_US = 5_000_000


def _wall_us() -> int:
    return time.time_ns() // 1_000


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1_000


class SteadyTime:
    """Steady time begins as wall-clock time.

    Args:
        wall_us, monotonic_us: The clocks.

    Attributes:
        shift_us: Wall-clock time less steady time.
        steps: Times the wall clock was set.
    """

    def __init__(
        self, wall_us: Callable[[], int] = _wall_us, monotonic_us: Callable[[], int] = _monotonic_us
    ) -> None:
        self.shift_us = self.steps = 0
        self._wall_us, self._monotonic_us = wall_us, monotonic_us
        self._offset_us = wall_us() - monotonic_us()
        self._before_us = 0  # the shift before this one ...
        self._mixed_until_us = -1  # ... which packets may still be stamped by until then

    def now_us(self) -> int:
        """Steady time; also looks whether the wall clock was set."""
        self.look()
        return self._wall_us() - self.shift_us

    def look(self) -> None:
        """Take note of a step of the wall clock."""
        monotonic_us = self._monotonic_us()
        shift_us = self._wall_us() - monotonic_us - self._offset_us
        if abs(shift_us - self.shift_us) > _STEP_US:
            self._before_us, self.shift_us = self.shift_us, shift_us
            self._mixed_until_us = monotonic_us + _MIXED_US
            self.steps += 1

    def steady(self, batch: PacketBatch) -> PacketBatch:
        """A batch in steady time."""
        now_us = self.now_us()
        if self._monotonic_us() <= self._mixed_until_us:
            return replace(batch, ts_us=self._nearer(batch.ts_us, now_us))
        return replace(batch, ts_us=batch.ts_us - self.shift_us) if self.shift_us else batch

    def _nearer(self, ts_us: Int64, now_us: int) -> Int64:
        """Of the times by either shift the one that is nearer to now; packets wait in a ring for a moment only."""
        after, before = ts_us - self.shift_us, ts_us - self._before_us
        return np.where(np.abs(after - now_us) <= np.abs(before - now_us), after, before)
