"""What happens when: devices of a run and its attacks, from the seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass

from emtc_lab.attacks import ATTACKS, DEMO, MAX_SECONDS
from emtc_lab.devices import KINDS

QUIET_START_S = 180.0
PAUSE_S = 50.0
DEMO_END_S = 70.0


@dataclass(frozen=True)
class Step:
    """One attack: begins at ``at_s``, or when the one before has ended and ``PAUSE_S`` passed."""

    at_s: float
    attack: str
    bot: int
    victim: int


def device_kinds(seed: int, devices: int) -> list[str]:
    """The kind of each device: all kinds once, then some again."""
    rng = random.Random(seed)
    kinds = list(KINDS)
    more = [rng.choice(kinds) for _ in range(max(devices - len(kinds), 0))]
    return (kinds + more)[:devices]


def attack_steps(seed: int, devices: int, attacks: str) -> list[Step]:
    """The attacks of a run: ``none``, ``demo`` or ``all``; bots and victims are device numbers from 1."""
    rng = random.Random(seed + 7)
    names = {"none": [], "demo": list(DEMO), "all": sorted(ATTACKS)}[attacks]
    if attacks == "all":
        rng.shuffle(names)
    steps = []
    at_s = QUIET_START_S
    for name in names:
        bot, victim = rng.sample(range(1, devices + 1), 2)
        steps.append(Step(at_s, name, bot, victim))
        at_s += PAUSE_S + (20 if attacks == "demo" else rng.uniform(0, 20))
    return steps


def longest_s(steps: list[Step], minutes: float) -> float:
    """Upper bound of a run's length in seconds."""
    last = max((step.at_s for step in steps), default=0.0)
    return max(minutes * 60, last + len(steps) * MAX_SECONDS + DEMO_END_S)
