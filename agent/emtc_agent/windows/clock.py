"""The stream clock: a time that never runs back, made from capture times that may.

Windows, timeouts and ageing run on this clock. It starts at 0 with the first packet. A capture time that
falls back by more than ``BACK_US`` or leaps ahead by more than ``AHEAD_US`` is taken as a broken clock:
the stream goes on from where it was (plus at most ``AHEAD_US``) and the jump is counted. Smaller disorder
is smoothed by the running maximum, so it neither stalls nor drifts.
"""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Int64
from emtc_agent.windows.arrays import running_maximum

BACK_US = 1_000_000
AHEAD_US = 3_600_000_000


class StreamClock:
    """Turns capture times into stream time; the result does not depend on how the stream is cut.

    Attributes:
        now_us: Stream time of the last packet.
        jumps: Capture times that were clamped.
    """

    def __init__(self) -> None:
        self.now_us = 0
        self.jumps = 0
        self._last_ts_us: int | None = None
        self._last_us = 0  # unsmoothed stream time of the last packet

    def advance(self, ts_us: Int64) -> Int64:
        """Stream time (N,) int64 of the next packets, given their capture times (N,)."""
        if not len(ts_us):
            return ts_us
        first = int(ts_us[0]) if self._last_ts_us is None else self._last_ts_us
        step = np.empty_like(ts_us)
        step[0] = ts_us[0] - first
        np.subtract(ts_us[1:], ts_us[:-1], out=step[1:])
        if step.min() < -BACK_US or step.max() > AHEAD_US:
            jumped = (step < -BACK_US) | (step > AHEAD_US)
            self.jumps += int(np.count_nonzero(jumped))
            raw = np.cumsum(np.where(jumped, np.clip(step, 0, AHEAD_US), step)) + self._last_us
        else:
            raw = ts_us + (self._last_us - first)
        clock = np.maximum(running_maximum(raw), self.now_us)
        self._last_ts_us, self._last_us, self.now_us = int(ts_us[-1]), int(raw[-1]), int(clock[-1])
        return clock

    def at(self, ts_us: int) -> int:
        """Stream time at a capture time without a packet, after the last one."""
        if self._last_ts_us is None:
            return 0
        return max(self.now_us, self._last_us + min(max(ts_us - self._last_ts_us, 0), AHEAD_US))
