"""Trying to get out: ``python -m emtc_lab.probe IP:PORT ...`` names those that answered, in one namespace.

``try_to_get_out`` does it in every namespace of a lab, and makes sure that a device reaches its broker meanwhile: a
lab in which nothing works would be safe, too.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from emtc_contract.errors import LabError
from emtc_lab.plan import Plan
from emtc_lab.processes import run
from emtc_lab.site import SERVICES
from emtc_lab.topology import inside, namespaces

_WAIT_S = 3.0
_BROKER = f"{SERVICES['broker']}:1883"


def answers(target: str) -> bool:
    """Whether anything answers; a refusal is an answer. Loopback answers for itself only, so it must accept."""
    ip, _, port = target.rpartition(":")
    try:
        socket.create_connection((ip, int(port)), timeout=_WAIT_S).close()
    except ConnectionRefusedError:
        return not ip.startswith("127.")
    except OSError:
        return False
    return True


def default_targets() -> list[str]:
    """This machine's own addresses and its next hop, as seen where the lab is started from."""
    links = json.loads(run("ip", "-j", "-4", "addr"))
    own = [address["local"] for link in links for address in link["addr_info"] if link["ifname"] != "lo"]
    routes = json.loads(run("ip", "-j", "-4", "route") or "[]")
    return [
        f"{ip}:{port}" for ip in (*own, *(r["gateway"] for r in routes if "gateway" in r)) for port in (22, 53, 80)
    ]


def try_to_get_out(plan: Plan, targets: Sequence[str], say: Callable[[str], None]) -> None:
    """Probe from every namespace; raises LabError where something outside answers, or the broker does not."""
    kinds = {spec.name: f"device {spec.name} ({spec.kind})" for spec in plan.specs}

    def probe(name: str) -> tuple[str, list[str]]:
        told = inside(name, sys.executable, "-m", "emtc_lab.probe", _BROKER, *targets)
        return name, told.split()

    with ThreadPoolExecutor(8) as pool:
        reached = dict(pool.map(probe, namespaces()))
    for name, answered in reached.items():
        if outside := sorted(set(answered) - {_BROKER}):
            raise LabError(f"namespace {name} reaches {', '.join(outside)}, which is not the lab's")
        if name in kinds and _BROKER not in answered:
            raise LabError(f"{kinds[name]} does not reach the lab's own broker")
        say(f"{kinds.get(name, name)}: reaches nothing outside")


if __name__ == "__main__":
    with ThreadPoolExecutor(16) as _pool:
        _found = [target for target, yes in zip(sys.argv[1:], _pool.map(answers, sys.argv[1:]), strict=True) if yes]
    print(*_found)  # noqa: T201 - read by try_to_get_out
