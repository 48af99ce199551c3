"""What happens in a run: hosts, personalities, disturbances and attacks, from scenario and seed alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from emtc_lab.devices.habits import Spec
from emtc_lab.devices.personality import draw
from emtc_lab.link import Profile
from emtc_lab.scenario import Events, Group, Scenario
from emtc_lab.site import Host, Site, lay_out
from emtc_lab.steps import Step, plan_attacks

Outages = tuple[tuple[float, float], ...]
_FIRST_EVENT_S = 20.0
_LEAST_GAP_S = 60.0  # between two of a kind: a server is up again before it goes down
END_S = 15.0
"""Traffic after the last attack: answers and retries die out."""


@dataclass(frozen=True)
class Event:
    """A disturbance of a server that the lab itself carries out."""

    at_s: float
    name: str


@dataclass(frozen=True)
class Plan:
    """A whole run.

    Attributes:
        site: The LAN.
        hosts: Host of each device, in the order of ``specs``.
        specs: The devices.
        profiles: Link profile of each device.
        outages: Outages of each device's link.
        events: Disturbances of servers, in order of time.
        steps: Attacks, in order of time.
        impossible: Types that have no victim or no bot in this scenario.
        seconds: Length of the run; attacks that take their time make it longer.
    """

    site: Site
    hosts: tuple[Host, ...]
    specs: tuple[Spec, ...]
    profiles: tuple[Profile, ...]
    outages: tuple[Outages, ...]
    events: tuple[Event, ...]
    steps: tuple[Step, ...]
    impossible: tuple[str, ...]
    seconds: float


def make_plan(
    scenario: Scenario, seed: int, minutes: float | None = None, styles: Sequence[str] | None = None
) -> Plan:
    """The plan of a run.

    Args:
        scenario: The site.
        seed: Everything that is not in the scenario follows from it.
        minutes: Instead of the scenario's.
        styles: Of the attacks, instead of the scenario's; none of them for a benign run.
    """
    rng = random.Random(seed)
    site, hosts = lay_out(rng, scenario.device_count)
    devices = list(zip(hosts, (group for group in scenario.devices for _ in range(group.count)), strict=True))
    seconds = (minutes or scenario.minutes) * 60
    day = _Day(random.Random(f"{seed} events"), scenario.events, seconds, len(hosts))
    specs = tuple(_spec(rng, scenario, site, devices, number, day.moments[number]) for number in range(len(hosts)))
    planned = scenario.attacks.styles if scenario.attacks else ()
    wanted = planned if styles is None else tuple(style for style in planned if style in styles)
    steps, impossible = plan_attacks(scenario, seed, site, devices, wanted)
    last = steps[-1].at_s + steps[-1].seconds + END_S if steps else 0.0
    return Plan(
        site=site,
        hosts=tuple(hosts),
        specs=specs,
        profiles=tuple(scenario.profile(group.link) for _, group in devices),
        outages=tuple(tuple(outages) for outages in day.outages),
        events=tuple(sorted(day.events, key=lambda event: event.at_s)),
        steps=tuple(steps),
        impossible=tuple(impossible),
        seconds=max(seconds, last),
    )


def _spec(
    rng: random.Random,
    scenario: Scenario,
    site: Site,
    devices: list[tuple[Host, Group]],
    number: int,
    moments: list[tuple[float, str]],
) -> Spec:
    host, group = devices[number]
    peers: dict[str, list[str]] = {}
    for other, its in devices:
        if other is not host:
            peers.setdefault(its.kind, []).append(other.ip)
    return Spec(
        name=host.name,
        kind=group.kind,
        ip=host.ip,
        gateway=site.gateway.ip,
        seed=rng.randrange(2**31),
        compress=scenario.compress,
        personality=draw(rng, group.personality),
        peers=peers,
        moments=tuple(sorted(moments)),
    )


class _Day:
    """Disturbances: moments of devices, outages of links, events of servers."""

    def __init__(self, rng: random.Random, events: Events, seconds: float, devices: int) -> None:
        self.moments: list[list[tuple[float, str]]] = [[] for _ in range(devices)]
        self.outages: list[list[tuple[float, float]]] = [[] for _ in range(devices)]
        self.events: list[Event] = []
        self._rng = rng
        for name in events.__struct_fields__:
            for at in self._times(getattr(events, name), seconds):
                getattr(self, f"_{name.removesuffix('_s')}")(at)

    def _times(self, mean_s: float, seconds: float) -> list[float]:
        if mean_s == 0:
            return []
        times = [_FIRST_EVENT_S + self._rng.expovariate(1 / mean_s)]
        while times[-1] < seconds:
            times.append(times[-1] + max(self._rng.expovariate(1 / mean_s), _LEAST_GAP_S))
        return times[:-1]

    def _firmware_campaign(self, at: float) -> None:
        for moments in self._rng.sample(self.moments, max(len(self.moments) // 2, 1)):
            moments.append((at + self._rng.uniform(0, 20), "firmware"))

    def _factory_reset(self, at: float) -> None:
        self._rng.choice(self.moments).append((at, "factory_reset"))

    def _power_cut(self, at: float) -> None:
        for moments in self.moments:
            moments.append((at + self._rng.uniform(0, 6), "boot"))

    def _link_outage(self, at: float) -> None:
        self._rng.choice(self.outages).append((at, at + self._rng.uniform(8, 60)))

    def _broker_restart(self, at: float) -> None:
        self.events += [Event(at, "broker down"), Event(at + self._rng.uniform(3, 20), "broker up")]

    def _dns_failure(self, at: float) -> None:
        self.events += [Event(at, "dns down"), Event(at + self._rng.uniform(5, 30), "dns up")]
