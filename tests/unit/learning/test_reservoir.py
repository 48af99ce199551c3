"""The sample is bounded, uniform, fair to endpoints, and forgets what turns out to be tainted."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from emtc_agent.learning.reservoir import Reservoir
from emtc_agent.learning.rows import rows_of
from site_windows import COLUMNS, SECOND, START_US, scored_of, windows_of


def rows(size, device=1, first_order=0):
    last_us = START_US + (first_order + np.arange(size)) * SECOND
    return rows_of(windows_of(last_us, device), scored_of(np.full(size, 0.5)), first_order)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 400)), max_size=20), st.integers(4, 200))
def test_it_never_holds_more_than_its_capacity_nor_more_of_one_endpoint_than_its_share(parts, capacity):
    reservoir = Reservoir(COLUMNS, capacity, 0.5, seed=1)
    offered = {}
    for device, size in parts:
        reservoir.offer(rows(size, device, sum(offered.values())))
        offered[device] = offered.get(device, 0) + size
    held = reservoir.rows()
    cap = max(int(capacity * 0.5), 1)
    assert len(held) == min(capacity, sum(min(cap, number) for number in offered.values()))
    assert all(len(mine) <= cap for mine in held.by_endpoint())
    assert (np.diff(held.order) > 0).all()


def test_early_and_late_windows_have_the_same_chance():
    reservoir = Reservoir(COLUMNS, 2_000, 1.0, seed=3)
    for at in range(0, 40_000, 500):
        reservoir.offer(rows(500, 1, at))
    tenths = np.bincount(reservoir.rows().order // 4_000, minlength=10)
    assert tenths.sum() == 2_000
    assert abs(tenths - 200).max() < 4 * np.sqrt(200)


def test_a_capped_endpoint_leaves_room_and_is_sampled_evenly_itself():
    reservoir = Reservoir(COLUMNS, 1_000, 0.25, seed=3)
    for at in range(0, 20_000, 1_000):
        reservoir.offer(rows(950, 1, at))
        reservoir.offer(rows(50, 2, at + 950))
    chatty, quiet = reservoir.rows().by_endpoint()
    assert (len(chatty), len(quiet)) == (250, 250)
    assert 75 < np.sum(reservoir.rows().order[chatty] < 10_000) < 175


def test_the_sample_does_not_depend_on_how_the_stream_is_cut():
    whole, cut = (Reservoir(COLUMNS, 100, 0.25, seed=5) for _ in range(2))
    whole.offer(rows(3_000))
    for at in range(0, 3_000, 7):
        cut.offer(rows(min(7, 3_000 - at), 1, at))
    assert whole.rows().order.tolist() == cut.rows().order.tolist()


def test_retraction_takes_the_late_windows_of_the_endpoints_named_and_no_others():
    reservoir = Reservoir(COLUMNS, 1_000, 1.0)
    reservoir.offer(rows(100, 1))
    reservoir.offer(rows(100, 2))
    assert reservoir.retract({rows(1, 2).endpoints()[0]: START_US + 60 * SECOND}) == 40
    first, second = reservoir.rows().by_endpoint()
    assert (len(first), len(second)) == (100, 60)


def test_a_restart_keeps_the_sample_and_goes_on_evenly():
    before = Reservoir(COLUMNS, 1_000, 1.0, seed=3)
    before.offer(rows(10_000))
    after = Reservoir(COLUMNS, 1_000, 1.0, seed=3)
    after.load(*before.dump(), before.offered)
    assert after.rows().order.tolist() == before.rows().order.tolist()
    after.offer(rows(10_000, 1, 10_000))
    late = int((after.rows().order >= 10_000).sum())
    assert len(after) == 1_000
    assert 400 < late < 600
