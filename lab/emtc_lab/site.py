"""Addresses and names of a lab, from its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

CLOUD_NET = "198.51.100"
OUTSIDE_NET = "203.0.113"
SERVICES = {
    "broker": f"{CLOUD_NET}.10",
    "api": f"{CLOUD_NET}.20",
    "coap": f"{CLOUD_NET}.30",
    "update": f"{CLOUD_NET}.40",
    "media": f"{CLOUD_NET}.50",
    "dns": f"{CLOUD_NET}.53",
    "backup": f"{CLOUD_NET}.60",
    "track": f"{CLOUD_NET}.70",
    "time": f"{CLOUD_NET}.123",
}
CLOUD_ROUTER, OUTSIDE_ROUTER = f"{CLOUD_NET}.1", f"{OUTSIDE_NET}.1"
DOMAIN = "iot.example"
ATTACKER_OUTSIDE_IP = f"{OUTSIDE_NET}.66"
C2_IP = f"{OUTSIDE_NET}.99"
TUNNEL_DOMAIN = "t.example.net"
"""Resolves to the attacker's name server: what a DNS tunnel uses."""


@dataclass(frozen=True)
class Host:
    """A host on the LAN."""

    name: str
    ip: str
    mac: str


@dataclass(frozen=True)
class Site:
    """The LAN of one lab: its /24 prefix, gateway and wired hosts."""

    lan: str
    gateway: Host
    attacker: Host

    @property
    def network(self) -> str:
        """The LAN in CIDR form."""
        return f"{self.lan}.0/24"


def host_name(service: str) -> str:
    """Full name of a cloud service."""
    return f"{service}.{DOMAIN}"


def lay_out(rng: random.Random, devices: int) -> tuple[Site, list[Host]]:
    """A LAN prefix, a gateway, an attacker, and an address and MAC for each device."""
    third = rng.randrange(250)
    lan = rng.choice(
        [f"10.{rng.randrange(1, 250)}.{third}", f"172.{rng.randrange(16, 32)}.{third}", f"192.168.{third}"]
    )
    numbers = rng.sample(range(10, 250), devices + 1)
    names = [*(f"d{number}" for number in range(1, devices + 1)), "attacker"]
    hosts = [Host(name, f"{lan}.{number}", _mac(rng, number)) for name, number in zip(names, numbers, strict=True)]
    gateway = Host("gw", f"{lan}.1", _mac(rng, 1))
    return Site(lan, gateway, hosts.pop()), hosts


def _mac(rng: random.Random, number: int) -> str:
    """Locally administered, and unlike any other in this lab: the last octet is the host number."""
    vendor = rng.choice(["02:1a:11", "06:4c:54", "0a:b8:27", "0e:60:01", "12:d0:5f", "16:24:0a"])
    return f"{vendor}:{rng.randrange(256):02x}:{rng.randrange(256):02x}:{number:02x}"
