"""Capture times that go on steadily when the wall clock is set.

The kernel stamps packets by the wall clock, which NTP or an operator may set by a year. Windows and incidents need a
clock that only goes on, so a step (more than a second against the monotonic clock) is taken out of the times, and
kept as the shift that makes wall-clock time of them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from emtc_agent.packets import PacketBatch

_STEP_US = 1_000_000


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

    def now_us(self) -> int:
        """Steady time; also looks whether the wall clock was set."""
        self.look()
        return self._wall_us() - self.shift_us

    def look(self) -> None:
        """Take note of a step of the wall clock."""
        shift_us = self._wall_us() - self._monotonic_us() - self._offset_us
        if abs(shift_us - self.shift_us) > _STEP_US:
            self.shift_us = shift_us
            self.steps += 1

    def steady(self, batch: PacketBatch) -> PacketBatch:
        """A batch in steady time."""
        self.look()
        return replace(batch, ts_us=batch.ts_us - self.shift_us) if self.shift_us else batch
