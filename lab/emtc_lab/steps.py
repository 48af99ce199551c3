"""The attacks of a run: order, victims, bots and command lines, from scenario and seed alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from emtc_lab.attacks.base import Aim, Attack
from emtc_lab.attacks.types import ATTACKS
from emtc_lab.scenario import AttackPlan, Group, Scenario
from emtc_lab.site import ATTACKER_OUTSIDE_IP, C2_IP, SERVICES, Host, Site
from emtc_lab.topology import OUTSIDE


@dataclass(frozen=True)
class Step:
    """One attack: begins at ``at_s``, or ``pause_s`` after the one before if that is later."""

    at_s: float
    attack: str
    style: str
    namespace: str
    attacker: Host | None
    victims: tuple[str, ...]
    seconds: float
    pause_s: float
    command: tuple[str, ...]


def plan_attacks(
    scenario: Scenario, seed: int, site: Site, devices: list[tuple[Host, Group]], styles: Sequence[str]
) -> tuple[list[Step], list[str]]:
    """The attacks of a run in order of time, and the types that have no victim or no bot among the devices."""
    settings = scenario.attacks or AttackPlan()
    rng = random.Random(f"{seed} attacks")
    wanted = [(name, style) for name in scenario.attack_types for style in styles]
    if settings.order == "shuffled":
        rng.shuffle(wanted)
    steps: list[Step] = []
    impossible: list[str] = []
    at = settings.quiet_start_s * rng.uniform(1.0, 1.2)
    for name, style in wanted:
        step = _step(ATTACKS[name], style, at, settings, rng, site, devices)
        if step is None:
            impossible.append(name)
        else:
            steps.append(step)
            at += step.seconds + step.pause_s
    return steps, sorted(set(impossible))


def _step(
    attack: Attack,
    style: str,
    at: float,
    settings: AttackPlan,
    rng: random.Random,
    site: Site,
    devices: list[tuple[Host, Group]],
) -> Step | None:
    """An attack with attacker, victims and command; None where the scenario has none that fit."""
    loud = style == "loud"
    named = _choose_victims(attack, rng, devices, attack.most_victims if loud else 1)
    bot = _choose_bot(attack, rng, devices, named)
    if (attack.origin == "device" and not bot) or (attack.victim == "device" and not named):
        return None
    attacker, namespace = _attacker(attack, bot, site)
    longest_s = settings.longest_s
    seconds = rng.uniform(longest_s / 6, longest_s / 2) if loud else rng.uniform(longest_s * 0.7, longest_s)
    victims = tuple(host.ip for host in named) or (_server(attack, site),)
    aim = Aim(site, bot or site.attacker, victims, loud, round(seconds, 1), rng)
    return Step(
        at_s=round(at, 1),
        attack=attack.name,
        style=style,
        namespace=namespace,
        attacker=attacker,
        victims=tuple(f"{host.ip};{host.mac}" for host in named) or ((victims[0],) if victims[0] else ()),
        seconds=aim.seconds,
        pause_s=round(settings.pause_s * rng.uniform(0.8, 1.4), 1),
        command=tuple(attack.command(aim)),
    )


def _attacker(attack: Attack, bot: Host | None, site: Site) -> tuple[Host | None, str]:
    """The host whose address the attack carries, if any, and the namespace it runs in."""
    if attack.origin == "device":
        assert bot
        return bot, bot.name
    if attack.origin == "lan":
        return site.attacker, site.attacker.name
    return (None if attack.forged else Host(OUTSIDE, ATTACKER_OUTSIDE_IP, "")), OUTSIDE


def _choose_victims(attack: Attack, rng: random.Random, devices: list[tuple[Host, Group]], most: int) -> list[Host]:
    """Some devices of one of the kinds needed, never all devices there are."""
    fitting = [host for host, group in devices if not attack.needs or group.kind in attack.needs]
    return rng.sample(fitting, min(len(fitting), most, len(devices) - 1)) if attack.victim == "device" else []


def _choose_bot(
    attack: Attack, rng: random.Random, devices: list[tuple[Host, Group]], victims: list[Host]
) -> Host | None:
    fitting = [host for host, group in devices if not attack.bots or group.kind in attack.bots]
    others = [host for host in fitting if host not in victims]
    return rng.choice(others) if attack.origin == "device" and others else None


def _server(attack: Attack, site: Site) -> str:
    if attack.victim == "c2":
        return C2_IP
    return {"lan": "", "gateway": site.gateway.ip, **SERVICES}[attack.victim]
