"""The rate of sending: a burst, then steadily, whatever the clock does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.delivery.pacing import Pace


def test_a_burst_and_then_the_rate():
    pace = Pace(20.0, 50)
    assert pace.allowed(100.0) == 50
    pace.spend(50)
    assert pace.allowed(100.0) == 0
    assert pace.wait_s == pytest.approx(0.05)
    assert pace.allowed(100.04) == 0
    assert pace.allowed(100.051) == 1
    assert pace.wait_s == 0.0
    assert pace.allowed(101.0) == 20


def test_what_was_allowed_and_not_spent_is_not_lost_and_not_doubled():
    pace = Pace(1.0, 5)
    assert [pace.allowed(0.0), pace.allowed(0.0), pace.allowed(1_000.0)] == [5, 5, 5]
    pace.spend(2)
    assert pace.allowed(1_000.0) == 3


def test_a_clock_that_goes_back_gives_nothing():
    pace = Pace(10.0, 10)
    pace.allowed(1_000.0)
    pace.spend(10)
    assert pace.allowed(0.0) == 0
    assert pace.allowed(0.5) == 5


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 99)), max_size=50))
def test_never_more_than_burst_and_rate_allow(steps):
    pace, now_s, sent = Pace(7.0, 12), 0.0, 0
    for step_s, wanted in steps:
        now_s += step_s
        going = min(wanted, pace.allowed(now_s))
        pace.spend(going)
        sent += going
        assert sent <= 12 + 7.0 * now_s + 1e-6
