"""The link emulator: ``python -m emtc_lab.emulator WIRES.json``, until SIGTERM.

It opens two TAP (or TUN) interfaces per wire, says ``ready``, and carries frames between them as ``link.Link``
decides. The lab then moves the interfaces into their namespaces; the open files stay here. SIGUSR1 marks the begin
of the run, from which outages count. User space is fast enough at LTE-M rates and works in kernels without netem.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import signal
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import msgspec

from emtc_lab.link import Link, Profile

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_TAP, _IFF_NO_PI = 0x0001, 0x0002, 0x1000
_LARGEST_FRAME = 65_536
_BATCH = 64  # frames taken from one interface before the others get their turn
_ETHERNET_HEADER = 14


@dataclass(frozen=True)
class Wire:
    """Two interfaces to make and the link between them; ``modem``: raw IP (TUN) instead of Ethernet (TAP)."""

    gateway_end: str
    far_end: str
    profile: Profile
    seed: int
    outages: tuple[tuple[float, float], ...] = ()
    modem: bool = False


@dataclass(frozen=True)
class Port:
    """Where frames enter, the link they take, and where they leave."""

    source: int
    target: int
    link: Link
    up: bool
    overhead: int


@dataclass
class Emulator:
    """Carries frames between ports; times are monotonic seconds."""

    ports: dict[int, Port]
    carried: int = 0
    lost: int = 0
    _waiting: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    _number: int = 0

    def take(self, source: int, now: float) -> None:
        """Read what waits at an interface and decide when it arrives."""
        port = self.ports[source]
        for _ in range(_BATCH):
            try:
                frame = os.read(source, _LARGEST_FRAME)
            except BlockingIOError:
                return
            at = port.link.send(now, len(frame) - port.overhead, up=port.up)
            if at is None:
                self.lost += 1
                continue
            self._number += 1
            heapq.heappush(self._waiting, (at, self._number, port.target, frame))

    def deliver(self, now: float) -> float | None:
        """Write what is due; seconds until the next frame is, or None."""
        while self._waiting and self._waiting[0][0] <= now:
            _, _, target, frame = heapq.heappop(self._waiting)
            try:
                os.write(target, frame)
                self.carried += 1
            except OSError:  # the interface is down: not yet set up, or already taken away
                self.lost += 1
        return max(self._waiting[0][0] - now, 0.0) if self._waiting else None

    def begin(self, now: float) -> None:
        """Outages count from here."""
        for port in self.ports.values():
            port.link.begin = now


def _open(name: str, *, modem: bool) -> int:
    try:
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        raise SystemExit(f"/dev/net/tun cannot be opened: {error.strerror}; the lab needs TAP interfaces") from None
    kind = _IFF_TUN if modem else _IFF_TAP
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH14x", name.encode(), kind | _IFF_NO_PI))
    return descriptor


def _connect(wires: list[Wire]) -> dict[int, Port]:
    ports = {}
    for wire in wires:
        near, far = (_open(name, modem=wire.modem) for name in (wire.gateway_end, wire.far_end))
        link = Link(wire.profile, random.Random(wire.seed), wire.outages)
        overhead = 0 if wire.modem else _ETHERNET_HEADER  # no radio link carries Ethernet headers
        # A host sends upwards to the gateway, the gateway upwards to the core.
        ports[far] = Port(far, near, link, not wire.modem, overhead)
        ports[near] = Port(near, far, link, wire.modem, overhead)
    return ports


def main(path: str) -> None:
    """Emulate until SIGTERM, then tell the counts."""
    emulator = Emulator(_connect(msgspec.json.decode(Path(path).read_bytes(), type=list[Wire])))
    stopped = False

    def begin(_signal: int, _frame: FrameType | None) -> None:
        emulator.begin(time.monotonic())

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGTERM, stop)
    poll = select.epoll()
    for descriptor in emulator.ports:
        poll.register(descriptor, select.EPOLLIN)
    print("ready", flush=True)  # noqa: T201 - the lab waits for this line
    while not stopped:
        wait_s = emulator.deliver(time.monotonic())
        for descriptor, _ in poll.poll(0.5 if wait_s is None else min(wait_s, 0.5)):
            emulator.take(descriptor, time.monotonic())
    print(f"carried {emulator.carried} lost {emulator.lost}", flush=True)  # noqa: T201 - for the summary


if __name__ == "__main__":
    main(sys.argv[1])
