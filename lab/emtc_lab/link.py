"""A model of one device's LTE-M link: when does a frame that is sent now arrive, if at all?

Pure: the caller hands in the time. Values of the profiles follow LTE Cat-M1 (3GPP TS 36.306: 1 Mbit/s full duplex,
about 300/375 kbit/s half duplex) and usual RRC settings (inactivity timer 10-20 s, DRX paging cycle 1.28-2.56 s).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

_CORRELATION = 0.9  # of one frame's jitter with the next one's
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Rate = Annotated[float, msgspec.Meta(gt=0)]


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a link. Rates in kbit/s, times in ms or s as named, ``queue_kib`` per direction."""

    up_kbps: Rate = 375.0
    down_kbps: Rate = 300.0
    delay_ms: Amount = 45.0
    jitter_ms: Amount = 12.0
    loss: Share = 0.0005
    queue_kib: Rate = 64.0
    idle_after_s: Amount = 12.0
    connect_ms: Amount = 250.0
    paging_ms: Amount = 1280.0
    half_duplex: bool = True


PROFILES = {
    "lte-m": Profile(),
    "lte-m-full": Profile(up_kbps=1000.0, down_kbps=1000.0, delay_ms=35.0, jitter_ms=8.0, half_duplex=False),
    "lte-m-weak": Profile(
        up_kbps=60.0, down_kbps=80.0, delay_ms=160.0, jitter_ms=60.0, loss=0.01, connect_ms=900.0, paging_ms=2560.0
    ),
    "wired": Profile(
        up_kbps=100_000.0,
        down_kbps=100_000.0,
        delay_ms=0.4,
        jitter_ms=0.1,
        loss=0.0,
        queue_kib=512.0,
        idle_after_s=0.0,
        half_duplex=False,
    ),
    "backhaul": Profile(
        up_kbps=20_000.0,
        down_kbps=40_000.0,
        delay_ms=12.0,
        jitter_ms=2.0,
        loss=0.0,
        queue_kib=512.0,
        idle_after_s=0.0,
        half_duplex=False,
    ),
}


@dataclass
class _Way:
    """One direction: when its transmitter is free, the last arrival, the present jitter."""

    rate_bytes_s: float
    free_at: float = 0.0
    last_arrival: float = 0.0
    jitter_s: float = 0.0


@dataclass
class Link:
    """Both directions of a link, with the radio state they share.

    Args:
        profile: Settings.
        rng: Source of loss and jitter.
        outages: (start, end) in s after ``begin``; frames sent within are lost.
        begin: Start of the run in the caller's time; until it is known there are no outages.
    """

    profile: Profile
    rng: random.Random
    outages: tuple[tuple[float, float], ...] = ()
    begin: float = float("inf")
    _last_use: float = float("-inf")
    _awake_at: float = float("-inf")
    _ways: dict[bool, _Way] = field(default_factory=dict)

    def __post_init__(self) -> None:
        up, down = (_Way(kbps * 125) for kbps in (self.profile.up_kbps, self.profile.down_kbps))
        self._ways = {True: up, False: down}

    def send(self, now: float, size_bytes: int, *, up: bool) -> float | None:
        """Arrival time of a frame, or None where it is lost. Frames of one direction arrive in order."""
        way = self._ways[up]
        if self._out(now) or self._queued_bytes(way, now) + size_bytes > self.profile.queue_kib * 1024:
            return None
        self._wake(now, up=up)
        busy = (w.free_at for w in (self._ways.values() if self.profile.half_duplex else (way,)))
        way.free_at = max(now, self._awake_at, *busy) + size_bytes / way.rate_bytes_s
        if self.rng.random() < self.profile.loss:
            return None
        way.last_arrival = max(way.last_arrival, way.free_at + self._delay_s(way))
        return way.last_arrival

    def _out(self, now: float) -> bool:
        return any(start <= now - self.begin < end for start, end in self.outages)

    @staticmethod
    def _queued_bytes(way: _Way, now: float) -> float:
        return max(way.free_at - now, 0.0) * way.rate_bytes_s

    def _wake(self, now: float, *, up: bool) -> None:
        """After silence the radio must connect first; towards the device it must be paged before that."""
        profile = self.profile
        if profile.idle_after_s and now - max(self._last_use, self._awake_at) > profile.idle_after_s:
            paging_s = 0.0 if up else self.rng.uniform(0, profile.paging_ms / 1000)
            self._awake_at = now + paging_s + profile.connect_ms / 1000 * self.rng.uniform(0.6, 1.6)
        self._last_use = now

    def _delay_s(self, way: _Way) -> float:
        fresh = self.rng.gauss(0.0, self.profile.jitter_ms / 1000)
        way.jitter_s = _CORRELATION * way.jitter_s + (1 - _CORRELATION**2) ** 0.5 * fresh
        return max(self.profile.delay_ms / 1000 + way.jitter_s, 0.0002)
