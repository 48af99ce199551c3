"""The daemon's loop with clocks and packets handed in: a wall clock set by years loses and invents nothing."""

from datetime import datetime

import numpy as np

import frames
from emtc_agent.daemon import Daemon, Order
from emtc_agent.daemon.parts import Place
from emtc_agent.packets import GUARD_BYTES, PacketBatch
from emtc_agent.settings import parse_settings
from emtc_agent.sources.steady import SteadyTime

YEAR_US = 365 * 86_400 * 1_000_000
SETTINGS = "[capture]\ninterfaces = ['none']\n[incidents]\nclose_after_s = 10\n[state]\nfolder = 'state'\n"


class Clocks:
    def __init__(self):
        self.wall_us, self.monotonic_us = 1_800_000_000_000_000, 7_000_000

    def run(self, seconds, step_us=0):
        self.wall_us += int(seconds * 1e6) + step_us
        self.monotonic_us += int(seconds * 1e6)


class Capture:
    """Plays steps: ("scan", device), ("quiet", seconds), ("set", microseconds)."""

    missing = ()

    def __init__(self, clocks, steps):
        self._clocks, self._steps = clocks, steps

    def batches(self, stopped):
        for kind, number in self._steps:
            assert not stopped()
            if kind == "scan":
                for part in range(6):
                    yield self._scan(number, part)
                    self._clocks.run(0.1)
                    yield None
            elif kind == "quiet":
                for _ in range(number * 2):
                    self._clocks.run(0.5)
                    yield None
            else:
                self._clocks.run(0, number)
                yield None

    def losses(self):
        return {"dropped by the kernel": 0, "times the ring was full": 0, "interfaces that came back": 0}

    def leave_out(self, connection):
        assert connection is None

    def _scan(self, device, part):
        scans = [frames.tcp(flags=2, dport=part * 1_000 + port * 7) for port in range(32)]
        own, mac = f"10.1.0.{device}", 0x02_00_00_01_00_00 + device
        packets = [frames.ether(frames.ipv4(scan, src=own, dst="203.0.113.9"), src=mac) for scan in scans]
        size = np.array([len(one) for one in packets], np.int64)
        return PacketBatch(
            data=np.frombuffer(b"".join(packets) + bytes(GUARD_BYTES), np.uint8),
            start=np.cumsum(size) - size,
            cap_len=size,
            wire_len=size,
            ts_us=np.full(len(size), self._clocks.wall_us),
            linktype=np.ones(len(size), np.uint16),
        )


class Told(list):
    def publish(self, alert):
        self.append(alert)


def play(folder, clocks, steps):
    told = Told()
    daemon = Daemon(Order(parse_settings(SETTINGS, "x"), Place(folder), None, None, (told,)))
    daemon._steady = SteadyTime(lambda: clocks.wall_us, lambda: clocks.monotonic_us)
    daemon._capture = Capture(clocks, steps)
    daemon.engine.restore(daemon._records.incidents(), daemon._steady.now_us())
    daemon.run(daemon._capture)
    daemon.close()
    return told


def test_years_forth_and_back(tmp_path):
    clocks = Clocks()
    steps = [("quiet", 2)]
    for device, step_us in enumerate((0, YEAR_US, -2 * YEAR_US, YEAR_US), 1):
        steps += [("scan", device), ("set", step_us), ("scan", device), ("quiet", 15)]
    told = play(tmp_path, clocks, steps)
    for device in range(1, 5):
        mine = [one for one in told if one.endpoint.ip == f"10.1.0.{device}"]
        assert len({one.id for one in mine}) == 1, device
        assert [mine[0].state, mine[-1].state] == ["new", "end"]
        seen = [datetime.fromisoformat(text) for text in (mine[-1].first_seen, mine[-1].last_seen)]
        assert (seen[1] - seen[0]).total_seconds() < 5
    last = datetime.fromisoformat(told[-1].ts).timestamp() * 1e6
    assert abs(clocks.wall_us - last) < 30e6


def test_a_restart_with_a_clock_that_is_years_off_goes_on(tmp_path):
    clocks = Clocks()
    first = play(tmp_path, clocks, [("quiet", 2), ("scan", 1)])
    clocks.run(1, -3 * YEAR_US)
    again = play(tmp_path, clocks, [("scan", 1), ("quiet", 15)])
    assert {one.id for one in [*first, *again]} == {first[0].id}
    assert [one.seq for one in [*first, *again]] == list(range(len(first) + len(again)))
    assert again[-1].state == "end"
