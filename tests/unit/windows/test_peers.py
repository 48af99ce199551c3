"""What endpoints have talked to before: remembered, aged, forgotten."""

import numpy as np

from emtc_agent.windows.peers import PeerMemory

SECOND_US = 1_000_000
AROUND_US = (1 << 32) * SECOND_US


def meet(memory, tag, clock_us):
    slot, tags, times = (np.array([one]) for one in (0, tag, clock_us))
    return bool(memory.meet(slot, tags.astype(np.uint64), times)[0])


def test_a_stream_may_last_longer_than_the_seconds_kept():
    """A broken clock leaps an hour with each packet: a long capture of it reaches 2^32 seconds."""
    memory = PeerMemory(slots=1, per_slot=8)
    assert meet(memory, 7, AROUND_US - 5 * SECOND_US)
    assert not meet(memory, 7, AROUND_US - 4 * SECOND_US)
    memory.sweep(AROUND_US + 5 * SECOND_US, age_us=10 * SECOND_US, brief_age_us=SECOND_US)
    assert not meet(memory, 7, AROUND_US + 6 * SECOND_US)
    memory.sweep(AROUND_US + 16 * SECOND_US, age_us=10 * SECOND_US, brief_age_us=SECOND_US)
    assert meet(memory, 7, AROUND_US + 17 * SECOND_US)
