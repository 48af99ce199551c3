r"""The hosts of the lab and the wires between them.

::

    d1 ... dn, attacker                                             +-- cloud (broker, web, CoAP, DNS, NTP ...)
       | TAP                                                        |   198.51.100.0/24
    LTE-M emulator                                                  |
       | TAP                                                        |
      br0 [gw] wwan0 == TUN == backhaul emulator == TUN == [core] --+
      LAN /24                                                       +-- outside (attacker, C2) 203.0.113.0/24

Every host is a network namespace of its own. Nothing leads out: see ``safety.py``.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import msgspec

from emtc_contract.errors import LabError
from emtc_lab.emulator import Wire
from emtc_lab.link import PROFILES, Profile
from emtc_lab.processes import Processes, run
from emtc_lab.site import ATTACKER_OUTSIDE_IP, C2_IP, CLOUD_ROUTER, OUTSIDE_ROUTER, SERVICES, Host, Site

CORE, CLOUD, OUTSIDE = "core", "cloud", "outside"
BRIDGE, MODEM, CORE_END = "br0", "wwan0", "ran0"
_MODEM_IP, _CORE_IP = "100.64.0.2", "100.64.0.1"
_WAIT_S = 20.0


def make_namespaces(site: Site, hosts: list[Host]) -> None:
    """Create the namespaces and what hangs on no emulator: bridge, core, cloud, outside."""
    names = (site.gateway.name, CORE, CLOUD, OUTSIDE, *(host.name for host in hosts))
    for name in names:
        run("ip", "netns", "add", name)
        inside(name, "ip", "link", "set", "lo", "up")
        sysctl(name, {f"net.ipv4.conf.{scope}.rp_filter": "0" for scope in ("all", "default")})
        sysctl(name, {f"net.ipv4.conf.{scope}.send_redirects": "0" for scope in ("all", "default")})
    for router in (site.gateway.name, CORE, site.attacker.name):
        sysctl(router, {"net.ipv4.ip_forward": "1"})
    gateway = site.gateway
    inside(gateway.name, "ip", "link", "add", BRIDGE, "address", gateway.mac, "type", "bridge", "forward_delay", "0")
    inside(gateway.name, "ip", "addr", "add", f"{gateway.ip}/24", "dev", BRIDGE)
    inside(gateway.name, "ip", "link", "set", BRIDGE, "up")
    _attach(CLOUD, "cloud0", CLOUD_ROUTER, list(SERVICES.values()), "02:00:5e:10:00:0a")
    _attach(OUTSIDE, "out0", OUTSIDE_ROUTER, [ATTACKER_OUTSIDE_IP, C2_IP], "02:00:5e:20:00:42")
    # Answers to forged senders end here: nobody tells a carrier's customers that the internet is missing.
    inside(CORE, "ip", "route", "add", "blackhole", "default")


def connect(
    site: Site,
    links: list[tuple[Host, Profile, tuple[tuple[float, float], ...]]],
    rng: random.Random,
    processes: Processes,
    work: Path,
) -> int:
    """Start the emulator and hang every host on it.

    Args:
        site: The LAN.
        links: Host, link profile and (start, end) of outages in s after the run's begin.
        rng: Source of the links' seeds.
        processes: Keeps the emulator.
        work: Folder for its settings.

    Returns:
        The emulator's process id; SIGUSR1 marks the begin of the run.
    """
    wires = [
        Wire(f"p-{host.name}", f"t-{host.name}", profile, rng.randrange(2**31), outages)
        for host, profile, outages in links
    ]
    wires.append(Wire(MODEM, CORE_END, PROFILES["backhaul"], rng.randrange(2**31), (), modem=True))
    settings = work / "wires.json"
    settings.write_bytes(msgspec.json.encode(wires))
    process = processes.start("emulator", [sys.executable, "-m", "emtc_lab.emulator", str(settings)])
    processes.wait_for("emulator", b"ready", _WAIT_S)
    for host, _, _ in links:
        _hang(site, host)
    _hang_modem(site)
    return process.pid


def wait_until_up(site: Site) -> None:
    """Wait until bridge and modem carry traffic; a recorder that starts earlier hears nothing."""
    deadline = time.monotonic() + _WAIT_S
    for link in (BRIDGE, MODEM):
        while not _is_up(site, link):
            if time.monotonic() > deadline:
                raise LabError(f"{link} does not come up")
            time.sleep(0.05)


def namespaces() -> list[str]:
    """Names of all namespaces of the lab."""
    return [line.split()[0] for line in run("ip", "netns", "list").splitlines()]


def inside(namespace: str, *command: str) -> str:
    """Run a short command in a namespace."""
    return run("ip", "netns", "exec", namespace, *command)


def sysctl(namespace: str, settings: dict[str, str]) -> None:
    """Set kernel settings of a namespace."""
    inside(namespace, "sysctl", "-q", "-w", *(f"{key}={value}" for key, value in settings.items()))


def _is_up(site: Site, link: str) -> bool:
    (told,) = json.loads(inside(site.gateway.name, "ip", "-j", "link", "show", link))
    return "LOWER_UP" in told["flags"]


def _attach(name: str, port: str, router: str, addresses: list[str], mac: str) -> None:
    """A veth pair between the core and a place on the internet, without offloads."""
    inside(CORE, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
    inside(name, "ip", "link", "set", "eth0", "address", mac)
    inside(CORE, "ip", "addr", "add", f"{router}/24", "dev", port)
    for address in addresses:
        inside(name, "ip", "addr", "add", f"{address}/24", "dev", "eth0")
    for namespace, link in ((CORE, port), (name, "eth0")):
        inside(namespace, "ip", "link", "set", link, "up")
        inside(namespace, "ethtool", "-K", link, "tso", "off", "gso", "off", "gro", "off", "tx", "off")
    inside(name, "ip", "route", "add", "default", "via", router)


def _hang(site: Site, host: Host) -> None:
    gateway = site.gateway.name
    run("ip", "link", "set", f"p-{host.name}", "netns", gateway)
    inside(gateway, "ip", "link", "set", f"p-{host.name}", "master", BRIDGE, "up")
    run("ip", "link", "set", f"t-{host.name}", "netns", host.name, "name", "eth0")
    inside(host.name, "ip", "link", "set", "eth0", "address", host.mac, "up")
    inside(host.name, "ip", "addr", "add", f"{host.ip}/24", "dev", "eth0")
    inside(host.name, "ip", "route", "add", "default", "via", site.gateway.ip)


def _hang_modem(site: Site) -> None:
    for name, link, own, peer in (
        (site.gateway.name, MODEM, _MODEM_IP, _CORE_IP),
        (CORE, CORE_END, _CORE_IP, _MODEM_IP),
    ):
        run("ip", "link", "set", link, "netns", name)
        inside(name, "ip", "addr", "add", own, "peer", peer, "dev", link)
        inside(name, "ip", "link", "set", link, "up")
    inside(site.gateway.name, "ip", "route", "add", "default", "dev", MODEM)
    inside(CORE, "ip", "route", "add", site.network, "dev", CORE_END)
