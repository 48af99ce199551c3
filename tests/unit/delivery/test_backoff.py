"""Pauses between attempts: longer each time, up to a limit, never the same for a whole fleet."""

import random

import pytest

from emtc_agent.delivery.backoff import Backoff


class Fixed(random.Random):
    """Draws always the same."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def random(self):
        return self.draw


@pytest.mark.parametrize(("draw", "first_s"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_each_pause_is_twice_the_one_before_up_to_the_longest(draw, first_s):
    backoff = Backoff(1.0, 10.0, Fixed(draw))
    assert [backoff.next_s() for _ in range(6)] == [first_s * one for one in (1, 2, 4, 8, 10, 10)]


def test_an_attempt_that_held_for_a_minute_begins_anew():
    backoff = Backoff(1.0, 300.0, Fixed(1.0))
    assert [backoff.next_s(lasted_s) for lasted_s in (0, 0, 59.9, 60.0, 0)] == [1, 2, 4, 1, 2]


def test_years_of_failures_do_not_overflow():
    backoff = Backoff(1.0, 300.0, Fixed(1.0))
    assert [backoff.next_s() for _ in range(5_000)][-1] == 300.0


def test_gateways_that_failed_together_come_back_apart():
    pauses = [Backoff(8.0, 300.0, random.Random(seed)).next_s() for seed in range(200)]
    assert all(4.0 <= one <= 8.0 for one in pauses)
    assert max(pauses) - min(pauses) > 3.5
    assert len(set(pauses)) == 200
