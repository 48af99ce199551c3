"""Packets of live interfaces as they come."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

from emtc_agent.packets import PacketBatch
from emtc_agent.sources.bpf import Pair
from emtc_agent.sources.ring import InterfaceMissingError, PacketRing, RingConfig
from emtc_contract.errors import CaptureError

_LOG = logging.getLogger(__name__)
_WAIT_S = 0.2
_LAST_S = 0.1  # longer than the kernel holds a packet back
_LOOK_EVERY_S = 1.0


class LiveCapture:
    """Captures on several interfaces at once; a context manager.

    One that vanishes is opened anew once it is back.

    Args:
        interfaces: Their names.
        config: Sizes of each ring.
        patient: One that is not there (yet) is waited for as well; otherwise all have to be there at the beginning.

    Attributes:
        reopened: Times an interface came back.

    Raises:
        CaptureError: An interface cannot be opened.
    """

    def __init__(self, interfaces: Sequence[str], config: RingConfig | None = None, *, patient: bool = False) -> None:
        self.reopened = 0
        self._left_out: Pair | None = None
        self._config = config
        self._rings: dict[str, PacketRing] = {}
        self._gone: set[str] = set()
        self._look_at = 0.0
        self._lost_packets = self._lost_freezes = 0  # counted by rings that were closed since
        self._poll = select.poll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake, select.POLLIN)
        for name in dict.fromkeys(interfaces):
            try:
                self._open(name)
            except InterfaceMissingError as error:
                if not patient:
                    raise
                _LOG.warning("%s; waiting for it", error)
                self._gone.add(name)

    def batches(self, stopped: Callable[[], bool]) -> Iterator[PacketBatch | None]:
        """Batches in the order of their coming, None after a while without any.

        Ends when ``stopped``, with what has come until then.
        """
        while not stopped():
            self._wait()
            quiet = True
            for batch in self._ready():
                quiet = False
                yield batch
            if time.monotonic() >= self._look_at:
                self._look_after_interfaces()
            if quiet:
                yield None
        until_s = time.monotonic() + _LAST_S
        while time.monotonic() < until_s and self._wait(_LAST_S):
            yield from self._ready()

    def _wait(self, seconds: float = _WAIT_S) -> bool:
        """Wait until a ring has something to read, but not for long; returns whether one has."""
        events = self._poll.poll(1_000 * seconds)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        troubled = [file for file, event in events if event & ~select.POLLIN]
        for ring in self._rings.values():
            if ring.fileno() in troubled:
                ring.clear_error()
        return any(file != self._wake and event & select.POLLIN for file, event in events)

    def _ready(self) -> Iterator[PacketBatch]:
        """What can be read without waiting."""
        for ring in list(self._rings.values()):
            batch = ring.read()
            if batch is not None:
                yield batch

    @property
    def missing(self) -> tuple[str, ...]:
        """Interfaces that are not there now."""
        return tuple(sorted(self._gone))

    def leave_out(self, connection: Pair | None) -> None:
        """Look no more at one TCP connection (our own), on any interface."""
        if connection != self._left_out:
            self._left_out = connection
            for ring in self._rings.values():
                ring.leave_out(connection)

    def wake(self) -> None:
        """Let ``batches`` give None at once if there is no packet; from any thread."""
        os.eventfd_write(self._wake, 1)

    def losses(self) -> dict[str, int]:
        """Counters of what was not seen, by what to call them."""
        for ring in self._rings.values():
            ring.count_losses()
        return {
            "dropped by the kernel": self._lost_packets + sum(ring.dropped for ring in self._rings.values()),
            "times the ring was full": self._lost_freezes + sum(ring.freezes for ring in self._rings.values()),
            "interfaces that came back": self.reopened,
        }

    def _open(self, name: str) -> None:
        ring = PacketRing(name, self._config)
        ring.leave_out(self._left_out)
        self._rings[name] = ring
        self._poll.register(ring, select.POLLIN | select.POLLERR)

    def _close(self, name: str) -> None:
        ring = self._rings.pop(name)
        ring.count_losses()
        self._lost_packets += ring.dropped
        self._lost_freezes += ring.freezes
        self._poll.unregister(ring)
        ring.close()
        self._gone.add(name)

    def _look_after_interfaces(self) -> None:
        """Let go of interfaces that have vanished, and try to open those that had."""
        self._look_at = time.monotonic() + _LOOK_EVERY_S
        for name in sorted(self._gone):
            try:
                self._open(name)
            except CaptureError:
                continue
            self._gone.remove(name)
            self.reopened += 1
        for name in [name for name, ring in self._rings.items() if ring.is_gone()]:
            self._close(name)

    def __enter__(self) -> LiveCapture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._rings):
            self._close(name)
        os.close(self._wake)
