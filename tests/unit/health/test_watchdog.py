"""Pings go out while everything moves, and only then."""

from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.health import Watchdog
from emtc_agent.health.watchdog import DELIVERY, PIPELINE


def test_pings_come_twice_per_timeout_while_the_loop_turns():
    dog = Watchdog(30, {PIPELINE: 15}, 0)
    pinged = []
    for now_s in range(100):
        dog.progress(now_s)
        if dog.due(now_s):
            pinged.append(now_s)
    assert pinged == [0, 15, 30, 45, 60, 75, 90]


def test_a_loop_that_stands_still_silences_the_pings_and_is_named():
    dog = Watchdog(30, {PIPELINE: 15}, 0)
    assert dog.due(0)
    dog.progress(10)
    assert dog.due(25)
    assert not any(dog.due(now_s) for now_s in range(26, 1_000))
    assert dog.standing(26) == (PIPELINE,)
    dog.progress(1_000)
    assert dog.due(1_000)


def test_a_loop_that_never_made_its_first_turn_counts_from_the_start():
    dog = Watchdog(30, {PIPELINE: 15}, 100)
    assert dog.due(115)
    assert not dog.due(131)


def test_delivery_that_hangs_silences_them_as_well():
    dog = Watchdog(30, {PIPELINE: 15, DELIVERY: 60}, 0)
    pinged = []
    for now_s in range(200):
        dog.progress(now_s)
        if now_s <= 20:
            dog.progress(now_s, DELIVERY)
        if dog.due(now_s):
            pinged.append(now_s)
    assert pinged[-1] == 75
    assert dog.standing(200) == (DELIVERY,)


def test_parts_that_are_not_watched_change_nothing():
    dog = Watchdog(30, {PIPELINE: 15}, 0)
    dog.progress(500, DELIVERY)
    assert dog.standing(500) == (PIPELINE,)


@given(st.lists(st.floats(0, 20), max_size=60), st.floats(1, 60), st.floats(0.5, 30))
def test_no_ping_later_than_patience_after_the_last_turn(steps, timeout_s, patience_s):
    """Whatever the times, and every turn asks: the last ping is at most patience after the last progress."""
    dog = Watchdog(timeout_s, {PIPELINE: patience_s}, 0.0)
    now_s = turned_s = 0.0
    for number, step_s in enumerate(steps):
        now_s += step_s
        if number % 3 == 0:
            dog.progress(now_s)
            turned_s = now_s
        if dog.due(now_s):
            assert now_s - turned_s <= patience_s
