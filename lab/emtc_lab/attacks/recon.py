"""Reconnaissance with nmap."""

from __future__ import annotations

from emtc_lab.attacks.base import Aim, attack
from emtc_lab.site import CLOUD_NET

_NMAP = ("nmap", "-n")


def _paced(aim: Aim, loud: tuple[float, float], low: tuple[float, float]) -> list[str]:
    return ["--max-rate", f"{aim.rate(loud, low):.2f}", "--max-retries", "1"]


def _ports(aim: Aim, loud: int, low: int) -> list[str]:
    first = aim.rng.randrange(1, 500)
    return ["-p", f"{first}-{first + loud}"] if aim.loud else ["--top-ports", str(low)]


@attack("arp-sweep", "recon", "lan", "lan")
def arp_sweep(aim: Aim) -> list[str]:
    """Who has each address of the LAN?"""
    return [*_NMAP, "-sn", *_paced(aim, (40, 120), (2, 5)), aim.site.network]


@attack("ping-sweep", "recon", "device", "lan")
def ping_sweep(aim: Aim) -> list[str]:
    """Echo requests to the cloud's network and the LAN."""
    return [*_NMAP, "-sn", "-PE", *_paced(aim, (20, 80), (1, 4)), f"{CLOUD_NET}.0/25", aim.site.network]


@attack("syn-scan", "recon", "lan", "device")
def syn_scan(aim: Aim) -> list[str]:
    """Half-open connections to many ports."""
    return [*_NMAP, "-Pn", "-sS", *_ports(aim, 1000, 60), *_paced(aim, (60, 200), (0.5, 2)), aim.victim]


@attack("connect-scan", "recon", "device", "device")
def connect_scan(aim: Aim) -> list[str]:
    """Full connections from a taken-over device."""
    return [*_NMAP, "-Pn", "-sT", *_ports(aim, 400, 60), *_paced(aim, (30, 90), (0.5, 2)), aim.victim]


@attack("outside-scan", "recon", "outside", "device")
def outside_scan(aim: Aim) -> list[str]:
    """SYNs from the internet."""
    return [*_NMAP, "-Pn", "-sS", *_ports(aim, 600, 60), *_paced(aim, (40, 120), (0.5, 2)), aim.victim]


@attack("udp-scan", "recon", "lan", "device")
def udp_scan(aim: Aim) -> list[str]:
    """Datagrams to the usual ports."""
    return [*_NMAP, "-Pn", "-sU", "--top-ports", "80", *_paced(aim, (20, 60), (0.7, 2)), aim.victim]


@attack("xmas-scan", "recon", "lan", "device")
def xmas_scan(aim: Aim) -> list[str]:
    """FIN, PSH and URG without a connection."""
    return [*_NMAP, "-Pn", "-sX", *_ports(aim, 500, 50), *_paced(aim, (50, 120), (0.5, 2)), aim.victim]


@attack("os-scan", "recon", "lan", "device")
def os_scan(aim: Aim) -> list[str]:
    """Which operating system answers?"""
    return [*_NMAP, "-Pn", "-O", "--top-ports", "50", *_paced(aim, (50, 120), (2, 4)), aim.victim]


@attack(
    "version-scan",
    "recon",
    "lan",
    "device",
    needs=("legacy-console", "linux-box", "smart-plug", "modbus-meter"),
)
def version_scan(aim: Aim) -> list[str]:
    """Which programs answer?"""
    depth = "7" if aim.loud else "2"
    limits = ["--version-intensity", depth, *_paced(aim, (30, 90), (1, 4))]
    return [*_NMAP, "-Pn", "-sV", "-p", "22,23,80,443,502,8080", *limits, aim.victim]
