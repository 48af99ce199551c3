"""No way out: the lab refuses to run where one exists.

Before anything is built, its network namespace must be new and empty. After everything is built, every namespace
must hold the lab's own kinds of interfaces only, no address translation, and default routes that stay inside.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from emtc_contract.errors import LabError
from emtc_lab.processes import run
from emtc_lab.site import CLOUD_ROUTER, OUTSIDE_ROUTER
from emtc_lab.topology import CORE, MODEM, inside, namespaces

PARENT = "EMTC_LAB_PARENT"
"""Environment variable with the network namespace that the lab was started from."""
_OWN_KINDS = {"veth", "tun", "bridge"}
_TABLES = ("/proc/net/ip_tables_names", "/proc/net/ip6_tables_names")


def own_namespace() -> str:
    """The network namespace of this process, as the kernel names it."""
    return str(Path("/proc/self/ns/net").readlink())


def refuse_used_namespace() -> None:
    """Raise LabError unless this namespace is not the user's and holds nothing but loopback."""
    if os.environ.get(PARENT) in (None, own_namespace()):
        raise LabError("the lab must start in a network namespace of its own; use emtc-lab run")
    unexpected = [link["ifname"] for link in _links_up(run("ip", "-j", "-d", "link")) if link["ifname"] != "lo"]
    routes = json.loads(run("ip", "-j", "route", "show", "table", "all") or "[]")
    if unexpected or any(route["dst"] == "default" for route in routes):
        raise LabError(f"the lab must start in an empty network namespace, found {unexpected or routes}")


def refuse_way_out(gateway: str, gateway_ip: str) -> None:
    """Raise LabError if any namespace of the built lab has an interface, route or translation that leads out.

    Args:
        gateway: Namespace of the gateway.
        gateway_ip: Its address on the LAN.
    """
    allowed = {gateway: {MODEM}, CORE: set()}
    inner = {gateway_ip, CLOUD_ROUTER, OUTSIDE_ROUTER}
    for name in namespaces():
        _check_links(name, _links_up(inside(name, "ip", "-j", "-d", "link")))
        routes = json.loads(inside(name, "ip", "-j", "route", "show", "table", "all") or "[]")
        for route in (route for route in routes if route["dst"] == "default" and route.get("type") != "blackhole"):
            via = route.get("gateway") or route.get("dev")
            if via not in allowed.get(name, inner):
                raise LabError(f"namespace {name} has a default route via {via}")
        tables = inside(name, "sh", "-c", f"cat {' '.join(_TABLES)} 2>/dev/null || true")
        if "nat" in tables.split():
            raise LabError(f"namespace {name} translates addresses")


def _links_up(told: str) -> list[dict[str, Any]]:
    """Interfaces that are up; kernels put dormant tunnel ends (``sit0``) into every new namespace."""
    return [link for link in json.loads(told) if "UP" in link["flags"]]


def _check_links(name: str, links: list[dict[str, Any]]) -> None:
    for link in links:
        kind = link.get("linkinfo", {}).get("info_kind")
        if link["ifname"] != "lo" and kind not in _OWN_KINDS:
            raise LabError(f"namespace {name} holds the interface {link['ifname']}, which is not the lab's")
