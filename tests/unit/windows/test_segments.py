"""Window cutting agrees with the sentence that defines it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.windows.segments import window_starts

gaps = st.lists(st.integers(0, 12), min_size=1, max_size=80)


def one_by_one(clock, packets, window_us):
    """Window starts of one group, walked packet by packet."""
    starts = []
    for index, now in enumerate(clock):
        if not starts or index - starts[-1] == packets or now >= clock[starts[-1]] + window_us:
            starts.append(index)
    return starts


@given(st.lists(gaps, min_size=1, max_size=12), st.integers(1, 9), st.integers(1, 40))
def test_agrees_with_a_walk_packet_by_packet(groups, packets, window_us):
    clocks = [np.cumsum(group) for group in groups]
    group_start = np.cumsum([0, *(len(clock) for clock in clocks[:-1])])
    expected = [
        first + start
        for first, clock in zip(group_start, clocks, strict=True)
        for start in one_by_one(clock.tolist(), packets, window_us)
    ]
    got = window_starts(np.concatenate(clocks), group_start, packets, window_us)
    assert got.tolist() == expected
