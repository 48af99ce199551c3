"""Bounded sets: find what was admitted, admit in order, spill the rest, never grow."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.windows.sets import SPILLED, BoundedSets


def admit(sets, row, tags):
    return sets.admit(np.full(len(tags), row), np.array(tags, np.uint64))


def test_admits_until_the_row_is_full_in_the_order_given():
    sets = BoundedSets(groups=2, ways=4)
    places = admit(sets, 1, [11, 12, 13, 14, 15, 16])
    assert (places[:4] != SPILLED).all()
    assert (places[4:] == SPILLED).all()
    found = sets.find(np.array([1, 1, 0]), np.array([14, 15, 11], np.uint64))
    assert found.tolist() == [places[3], SPILLED, SPILLED]


def test_released_places_are_used_again():
    sets = BoundedSets(groups=1, ways=2)
    admit(sets, 0, [1, 2])
    sets.release(sets.tags == 1)
    assert admit(sets, 0, [3, 4]).tolist() == [0, SPILLED]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40)), unique=True, max_size=60), st.integers(0, 60))
def test_behaves_like_a_dictionary_of_bounded_lists_however_it_is_cut(wanted, cut):
    sets = BoundedSets(groups=4, ways=3)
    model = {row: [] for row in range(4)}
    got = []
    for part in (wanted[:cut], wanted[cut:]):
        rows = np.array([row for row, _ in part], np.int64)
        tags = np.array([tag for _, tag in part], np.uint64)
        got += (sets.admit(rows, tags) != SPILLED).tolist()
    expected = []
    for row, tag in wanted:
        fits = len(model[row]) < 3
        expected.append(fits)
        if fits:
            model[row].append(tag)
    assert got == expected
