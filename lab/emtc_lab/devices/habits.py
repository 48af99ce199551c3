"""What a device does and when: habits, and a plan that follows from the seed alone."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from emtc_lab.devices.personality import Personality


@dataclass(frozen=True)
class Habit:
    """Something a device does again and again.

    Attributes:
        action: Method of the device.
        mean_s: Mean time between two of them, before personality and compression.
        spread: Largest relative deviation of one interval.
    """

    action: str
    mean_s: float
    spread: float = 0.2


@dataclass(frozen=True)
class Spec:
    """One device of a run.

    Attributes:
        name: Host name.
        kind: Key of ``KINDS``.
        ip: Its address.
        gateway: The gateway's address.
        seed: Decides the plan and the payloads.
        compress: Divides all intervals.
        personality: Its firmware's settings.
        peers: Addresses on the LAN by kind, itself left out.
        moments: (time in s, action) that the site's day brings: campaigns, resets, power cuts.
    """

    name: str
    kind: str
    ip: str
    gateway: str
    seed: int
    compress: float
    personality: Personality
    peers: dict[str, list[str]] = field(default_factory=dict)
    moments: tuple[tuple[float, str], ...] = ()


def plan(spec: Spec, habits: tuple[Habit, ...]) -> Iterator[tuple[float, str]]:
    """Endless (time in s, action) in order of time, from the spec alone. The first is ``boot``."""
    rng = random.Random(spec.seed)
    factor = spec.personality.pace * (1 + spec.personality.drift) / spec.compress
    pace = [habit.mean_s * factor for habit in habits]
    start = rng.uniform(0, min(8.0, 40.0 / spec.compress))
    queue = [(start + rng.uniform(0, mean), number) for number, mean in enumerate(pace)]
    reboot_mean_s = spec.personality.reboot_mean_s / spec.compress
    moments = [(at, len(habits), action) for at, action in spec.moments]
    moments += [(start, len(habits), "boot"), (start + rng.expovariate(1 / reboot_mean_s), len(habits), "reboot")]
    waiting = [(at, number, "") for at, number in queue] + moments
    heapq.heapify(waiting)
    while True:
        at, number, action = heapq.heappop(waiting)
        yield at, action or habits[number].action
        if action == "reboot":
            heapq.heappush(waiting, (at + rng.expovariate(1 / reboot_mean_s), number, action))
        elif not action:
            spread = habits[number].spread
            heapq.heappush(waiting, (at + pace[number] * rng.uniform(1 - spread, 1 + spread), number, ""))
