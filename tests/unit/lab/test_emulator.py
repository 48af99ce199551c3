"""Frames cross the emulator between two interfaces (here: socket pairs) as the link decides."""

import os
import random
import socket

import pytest

from emtc_lab.emulator import Emulator, Port
from emtc_lab.link import Link, Profile

FRAME = bytes(range(200))


@pytest.fixture
def wire():
    """(emulator, what hosts write to, what hosts read from)."""
    near, far = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
    ends = [*near, *far]
    for end in ends:
        end.setblocking(False)
    link = Link(Profile(delay_ms=100, jitter_ms=0, loss=0, idle_after_s=0, up_kbps=1e6), random.Random(1))
    inside, outside = near[1].fileno(), far[1].fileno()
    yield Emulator({inside: Port(inside, outside, link, up=True, overhead=14)}), near[0], far[0]
    for end in ends:
        end.close()


def test_a_frame_arrives_after_its_delay_and_unchanged(wire):
    emulator, sender, receiver = wire
    sender.send(FRAME)
    emulator.take(next(iter(emulator.ports)), 50.0)
    assert emulator.deliver(50.05) == pytest.approx(0.05, abs=0.001)
    with pytest.raises(BlockingIOError):
        receiver.recv(2048)
    assert emulator.deliver(50.2) is None
    assert receiver.recv(2048) == FRAME
    assert (emulator.carried, emulator.lost) == (1, 0)


def test_frames_keep_their_order(wire):
    emulator, sender, receiver = wire
    for number in range(5):
        sender.send(bytes([number]) * 100)
        emulator.take(next(iter(emulator.ports)), 50.0)
    emulator.deliver(60.0)
    assert [receiver.recv(2048)[0] for _ in range(5)] == list(range(5))


def test_outages_count_from_the_begin_and_are_lost(wire):
    emulator, sender, _ = wire
    source, port = next(iter(emulator.ports.items()))
    port.link.outages = ((0.0, 5.0),)
    for begin, lost in ((None, 0), (100.0, 1)):
        if begin is not None:
            emulator.begin(begin)
        sender.send(FRAME)
        emulator.take(source, 101.0)
        assert emulator.lost == lost


def test_an_interface_that_is_gone_loses_the_frame_only(wire):
    emulator, sender, _ = wire
    source, port = next(iter(emulator.ports.items()))
    gone = os.open("/dev/null", os.O_RDONLY)
    emulator.ports[source] = Port(source, gone, port.link, up=True, overhead=14)
    sender.send(FRAME)
    emulator.take(source, 1.0)
    assert emulator.deliver(2.0) is None
    assert (emulator.carried, emulator.lost) == (0, 1)
    os.close(gone)
