"""Bounded sets: find what was admitted, admit in order, spill the rest, never grow."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.windows.sets import SPILLED, WAYS, BoundedSets, first_in_time


def admit(sets, row, tags):
    return sets.admit(np.full(len(tags), row), np.array(tags, np.uint64))


def test_admits_until_the_row_is_full_in_the_order_given():
    sets = BoundedSets(groups=2)
    places = admit(sets, 1, range(11, 21))
    assert (places[:WAYS] != SPILLED).all()
    assert (places[WAYS:] == SPILLED).all()
    assert sets.has_room(np.array([0, 1, 0])).tolist() == [True, False, True]
    found = sets.find(np.array([1, 1, 0]), np.array([18, 19, 11], np.uint64))
    assert found.tolist() == [places[7], SPILLED, SPILLED]


def test_released_places_are_used_again():
    sets = BoundedSets(groups=1, dtype=np.uint32)
    admit(sets, 0, range(1, 9))
    sets.release(sets.tags == 6)
    assert admit(sets, 0, [30, 40]).tolist() == [5, SPILLED]


def test_first_occurrences_come_in_order_of_time():
    assert first_in_time(np.array([7, 3, 7, 9, 3, 1], np.uint64)).tolist() == [0, 1, 3, 5]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 90)), unique=True, max_size=90), st.integers(0, 90))
def test_behaves_like_a_dictionary_of_bounded_lists_however_it_is_cut(wanted, cut):
    sets = BoundedSets(groups=4)
    model = {row: [] for row in range(4)}
    got = []
    for part in (wanted[:cut], wanted[cut:]):
        rows = np.array([row for row, _ in part], np.int64)
        tags = np.array([tag for _, tag in part], np.uint64)
        got += (sets.admit(rows, tags) != SPILLED).tolist()
    expected = []
    for row, tag in wanted:
        fits = len(model[row]) < WAYS
        expected.append(fits)
        if fits:
            model[row].append(tag)
    assert got == expected
