"""Times go on when the wall clock is set by a year, forth and back."""

import numpy as np

from emtc_agent.packets import PacketBatch
from emtc_agent.sources.steady import SteadyTime

YEAR_US = 365 * 86_400 * 1_000_000


class Clocks:
    def __init__(self):
        self.wall_us, self.monotonic_us = 1_800_000_000_000_000, 5_000_000

    def run(self, seconds, step_us=0):
        self.wall_us += int(seconds * 1e6) + step_us
        self.monotonic_us += int(seconds * 1e6)


def batch(*times_us):
    nothing = np.zeros(len(times_us), np.int64)
    return PacketBatch(
        np.zeros(600, np.uint8), nothing, nothing, nothing, np.array(times_us), nothing.astype(np.uint16)
    )


def test_a_clock_that_is_set_leaves_times_steady():
    clocks = Clocks()
    steady = SteadyTime(lambda: clocks.wall_us, lambda: clocks.monotonic_us)
    seen = []
    for step_us in (0, YEAR_US, 0, -2 * YEAR_US, 0, YEAR_US, 300_000):
        clocks.run(10, step_us)
        seen.append(int(steady.steady(batch(clocks.wall_us)).ts_us[0]))
        assert steady.now_us() == seen[-1]
        assert seen[-1] + steady.shift_us == clocks.wall_us
    assert np.diff(seen).tolist() == [10_000_000] * 5 + [10_300_000]
    assert steady.steps == 3


def test_without_a_step_times_stay_as_the_kernel_gave_them():
    clocks = Clocks()
    steady = SteadyTime(lambda: clocks.wall_us, lambda: clocks.monotonic_us)
    packets = batch(clocks.wall_us - 50_000)
    assert steady.steady(packets) is packets
