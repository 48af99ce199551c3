"""Replaying a capture at the speed at which it was recorded, or a multiple of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from emtc_agent.packets import PacketBatch
from emtc_agent.windows.clock import StreamClock

_SLICE_US = 100_000


def paced(
    batches: Iterable[PacketBatch],
    speed: float,
    now: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[PacketBatch]:
    """Yield slices of at most 0.1 s of stream time, each when its time has come.

    Args:
        batches: Batches in stream order.
        speed: Stream seconds per second.
        now: Monotonic clock, seconds.
        wait: Waits so many seconds.
    """
    begin = now()
    clock = StreamClock()
    for batch in batches:
        slot = clock.advance(batch.ts_us) // _SLICE_US
        cuts = [0, *(np.flatnonzero(np.diff(slot)) + 1).tolist(), len(batch)]
        for first, last in itertools.pairwise(cuts):
            due = begin + int(slot[first]) * _SLICE_US / 1e6 / speed
            if (early := due - now()) > 0:
                wait(early)
            yield batch.slice(first, last)
