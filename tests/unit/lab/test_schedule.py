"""The seed alone decides a recording's devices and attacks."""

import itertools

import pytest

from emtc_lab.attacks import ATTACKS
from emtc_lab.devices import KINDS
from emtc_lab.schedule import PAUSE_S, QUIET_START_S, attack_steps, device_kinds, longest_s


def test_the_same_seed_gives_the_same_run():
    assert attack_steps(5, 8, "all") == attack_steps(5, 8, "all")
    assert device_kinds(5, 12) == device_kinds(5, 12)


def test_seeds_differ():
    assert len({tuple(attack_steps(seed, 8, "all")) for seed in range(5)}) == 5


def test_every_kind_of_device_takes_part_once_there_is_room():
    assert set(device_kinds(1, len(KINDS))) == set(KINDS)
    assert len(device_kinds(1, 3)) == 3


@pytest.mark.parametrize("seed", range(20))
def test_attacks_leave_time_to_learn_and_to_recover(seed):
    steps = attack_steps(seed, 8, "all")
    assert {step.attack for step in steps} == set(ATTACKS)
    assert steps[0].at_s >= QUIET_START_S
    assert all(after.at_s - before.at_s >= PAUSE_S for before, after in itertools.pairwise(steps))
    assert all(step.bot != step.victim and {step.bot, step.victim} <= set(range(1, 9)) for step in steps)
    assert longest_s(steps, 1) > steps[-1].at_s
