"""A few seconds of ``scripts/fuzz``, always the same."""

import numpy as np
import pytest

from fuzz import captures, packets, seeds


@pytest.mark.parametrize("number", range(10))
def test_damaged_packets_are_survived(number):
    assert packets.fuzz_round(np.random.default_rng([7, number]), seeds.packets()) == packets.PACKETS


@pytest.mark.parametrize("number", range(10))
def test_damaged_captures_are_survived(number, tmp_path):
    assert captures.fuzz_round(np.random.default_rng([7, number]), seeds.captures(), tmp_path / "capture") > 0
