"""What an attack is, and the register that files below this folder fill."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from emtc_lab.site import Host, Site

Origin = Literal["lan", "device", "outside"]
MOST_BYTES = 12_000_000
"""Byte budget of one attack."""


@dataclass(frozen=True)
class Aim:
    """One attack to come.

    Attributes:
        site: The LAN.
        bot: The device that attacks, where the origin is a device.
        victims: Addresses to attack: one, or some devices where the attack takes several.
        loud: Fast and obvious, or low and slow.
        seconds: How long it may last.
        rng: Source of rates, ports and sizes.
    """

    site: Site
    bot: Host
    victims: tuple[str, ...]
    loud: bool
    seconds: float
    rng: random.Random

    @property
    def victim(self) -> str:
        """The first victim."""
        return self.victims[0]

    def rate(self, loud: tuple[float, float], low: tuple[float, float]) -> float:
        """A rate per second from the range of its style."""
        return self.rng.uniform(*(loud if self.loud else low))


Command = Callable[[Aim], list[str]]
Tool = Callable[..., None]


@dataclass(frozen=True)
class Attack:
    """One type of attack.

    Attributes:
        name: Its type.
        family: Family by CICIoT2023's names where it has one.
        command: Makes the command line; the lab ends the tool when ``Aim.seconds`` have passed.
        origin: The attacker on the LAN, a taken-over device, or a host on the internet.
        victim: ``device``, ``lan`` (everybody, or nobody in particular), ``gateway``, ``c2``, or a cloud service's
            name.
        needs: Kinds one of which the victim must be; empty for any.
        bots: Kinds one of which the bot must be; empty for any.
        most_victims: How many devices its loud version attacks at once.
        forged: The sender's address is forged.
        ok: Exit codes that mean it did its work.
    """

    name: str
    family: str
    command: Command
    origin: Origin
    victim: str
    needs: tuple[str, ...] = ()
    bots: tuple[str, ...] = ()
    most_victims: int = 1
    forged: bool = False
    ok: tuple[int, ...] = (0,)


ATTACKS: dict[str, Attack] = {}
TOOLS: dict[str, Tool] = {}


def attack(
    name: str,
    family: str,
    origin: Origin,
    victim: str,
    *,
    needs: tuple[str, ...] = (),
    bots: tuple[str, ...] = (),
    most_victims: int = 1,
    forged: bool = False,
    ok: tuple[int, ...] = (0,),
) -> Callable[[Command], Command]:
    """Register the command line of a type (see ``Attack``)."""

    def register(command: Command) -> Command:
        if name in ATTACKS:
            raise ValueError(f"two attacks are called {name}")
        ATTACKS[name] = Attack(name, family, command, origin, victim, needs, bots, most_victims, forged, ok)
        return command

    return register


def tool(function: Tool) -> Tool:
    """Register a small client of our own, for what no packaged tool does."""
    TOOLS[function.__name__] = function
    return function


def own(name: str, *arguments: object) -> list[str]:
    """Command line of a registered tool."""
    file = TOOLS[name].__module__.rpartition(".")[2]
    return [sys.executable, "-m", "emtc_lab.attacks", file, name, *map(str, arguments)]
