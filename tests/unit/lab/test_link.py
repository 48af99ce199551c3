"""The LTE-M link model: what arrives, when, in which order."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_lab.link import Link, Profile

STEADY = {"jitter_ms": 0.0, "loss": 0.0, "idle_after_s": 0.0}


def link(seed=1, outages=(), **settings):
    made = Link(Profile(**{**STEADY, **settings}), random.Random(seed), outages)
    made.begin = 0.0
    return made


def test_a_lone_frame_takes_its_transmission_time_and_the_delay():
    assert link(up_kbps=100, delay_ms=50).send(10.0, 1250, up=True) == pytest.approx(10.0 + 0.1 + 0.05)
    assert link(down_kbps=200, delay_ms=50).send(10.0, 1250, up=False) == pytest.approx(10.0 + 0.05 + 0.05)


def test_frames_queue_behind_each_other_at_the_rate():
    wire = link(up_kbps=80, delay_ms=0.2)
    arrivals = [wire.send(0.0, 1000, up=True) for _ in range(5)]
    assert [after - before for before, after in itertools.pairwise(arrivals)] == pytest.approx([0.1] * 4)


def test_a_full_queue_drops():
    wire = link(up_kbps=80, queue_kib=4)
    told = [wire.send(0.0, 1000, up=True) for _ in range(10)]
    assert all(at is not None for at in told[:4])
    assert all(at is None for at in told[4:])
    assert wire.send(1.0, 1000, up=True) is not None


def test_half_duplex_shares_the_air_and_full_duplex_does_not():
    shared, apart = link(half_duplex=True), link(half_duplex=False)
    alone = link(half_duplex=False).send(0.0, 1000, up=False)
    for wire in (shared, apart):
        wire.send(0.0, 6000, up=True)
    assert shared.send(0.0, 1000, up=False) > alone
    assert apart.send(0.0, 1000, up=False) == alone


def test_after_silence_the_radio_connects_first_and_is_paged_before_that():
    settings = {"idle_after_s": 10, "connect_ms": 500, "paging_ms": 2000, "delay_ms": 10}
    wire = link(**settings)
    first = wire.send(0.0, 10, up=True)
    assert first >= 0.3
    assert wire.send(first + 5, 10, up=True) < first + 5.2
    assert wire.send(first + 30, 10, up=True) >= first + 30.3
    paged = [link(seed, **settings).send(0.0, 10, up=False) for seed in range(50)]
    assert max(paged) > 1.5
    assert min(paged) >= 0.3


def test_an_outage_loses_everything_and_counts_from_the_begin():
    wire = link(outages=((5.0, 8.0),))
    wire.begin = 100.0
    assert wire.send(6.0, 10, up=True) is not None
    assert wire.send(104.9, 10, up=True) is not None
    assert wire.send(105.0, 10, up=True) is None
    assert wire.send(107.9, 10, up=False) is None
    assert wire.send(108.0, 10, up=True) is not None


def test_loss_is_about_what_was_asked():
    wire = link(loss=0.2, queue_kib=1e6)
    lost = sum(wire.send(float(second), 100, up=True) is None for second in range(4000))
    assert 650 < lost < 950


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(40, 1500), st.booleans()), max_size=40),
    st.integers(0, 1000),
)
def test_each_direction_arrives_in_order_and_never_before_it_was_sent(sent, seed):
    wire = Link(Profile(jitter_ms=80.0), random.Random(seed))
    now, last = 0.0, {True: 0.0, False: 0.0}
    for gap, size, up in sent:
        now += gap
        at = wire.send(now, size, up=up)
        if at is not None:
            assert at > now
            assert at >= last[up]
            last[up] = at
