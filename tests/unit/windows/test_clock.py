"""The stream clock never runs back, never stalls, and does not depend on cuts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.windows.clock import AHEAD_US, StreamClock

times = st.lists(st.integers(0, 2**52), min_size=1, max_size=60)


def test_starts_at_zero_and_follows_capture_time():
    clock = StreamClock()
    assert clock.advance(np.array([5_000_000, 6_500_000])).tolist() == [0, 1_500_000]
    assert clock.advance(np.array([7_000_000])).tolist() == [2_000_000]
    assert clock.jumps == 0


def test_small_disorder_neither_runs_back_nor_drifts():
    clock = StreamClock()
    assert clock.advance(np.array([0, 20, 10, 30])).tolist() == [0, 20, 20, 30]
    assert clock.jumps == 0


def test_one_wild_timestamp_costs_at_most_the_clamp():
    clock = StreamClock()
    year_us = 365 * 86_400_000_000
    out = clock.advance(np.array([0, 1_000, year_us, 2_000, 3_000]))
    assert out.tolist() == [0, 1_000, 1_000 + AHEAD_US, 1_000 + AHEAD_US, 2_000 + AHEAD_US]
    assert clock.jumps == 2


@given(times, st.integers(0, 60))
def test_never_runs_back_and_cuts_do_not_matter(ts, cut):
    ts_us = np.array(ts, np.int64)
    whole, parts = StreamClock(), StreamClock()
    at_once = whole.advance(ts_us)
    in_two = np.concatenate([parts.advance(ts_us[:cut]), parts.advance(ts_us[cut:])])
    assert (np.diff(at_once) >= 0).all()
    assert at_once[0] == 0
    assert (at_once == in_two).all()
    assert whole.jumps == parts.jumps
