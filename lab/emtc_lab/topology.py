r"""The hosts of the lab and the wires between them.

::

    d1 .. dn, master, attacker --- br0 [gw] --- wan0 --- cloud (broker, web, CoAP, DNS, NTP)
          10.77.0.0/24                     \--- out0 --- outside (attacker on the internet)

Every host is a network namespace with its own MAC. There is no way out: the lab runs in a private user,
network, mount and process namespace that holds nothing but these.
"""

from __future__ import annotations

from dataclasses import dataclass

from emtc_contract.errors import LabError
from emtc_lab.processes import run

LAN = "10.77.0"
GATEWAY_IP = f"{LAN}.1"
MASTER_IP = f"{LAN}.5"
ATTACKER_IP = f"{LAN}.200"
CLOUD_IP = "198.51.100.10"
DNS_IP = "198.51.100.53"
NTP_IP = "198.51.100.123"
CLOUD_GATEWAY_IP = "198.51.100.1"
OUTSIDE_IP = "203.0.113.66"
OUTSIDE_GATEWAY_IP = "203.0.113.1"
GATEWAY = "gw"


@dataclass(frozen=True)
class Host:
    """A host on the LAN."""

    name: str
    ip: str
    mac: str


def device(number: int) -> Host:
    """The n-th device, counted from 1."""
    return Host(f"d{number}", f"{LAN}.{10 + number}", f"02:4c:54:4d:00:{10 + number:02x}")


MASTER = Host("master", MASTER_IP, "02:4c:54:4d:00:05")
ATTACKER = Host("attacker", ATTACKER_IP, "02:4c:54:4d:00:c8")


def refuse_a_way_out() -> None:
    """Raise LabError unless this namespace holds no interface but a lone loopback and no route."""
    links = [line.split()[0] for line in run("ip", "-br", "link").splitlines()]
    routes = run("ip", "route", "show", "table", "all").split("\n")
    outward = [route for route in routes if route.startswith("default")]
    if set(links) - {"lo"} or outward:
        raise LabError(f"the lab must start in an empty network namespace, found {links} {outward}")


def build(hosts: list[Host]) -> None:
    """Create all namespaces, links, addresses and routes."""
    for name in (GATEWAY, "cloud", "outside", *(host.name for host in hosts)):
        run("ip", "netns", "add", name)
        inside(name, "ip", "link", "set", "lo", "up")
    inside(GATEWAY, "ip", "link", "add", "br0", "address", "02:4c:54:4d:00:01", "type", "bridge")
    inside(GATEWAY, "ip", "addr", "add", f"{GATEWAY_IP}/24", "dev", "br0")
    inside(GATEWAY, "ip", "link", "set", "br0", "up")
    inside(GATEWAY, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
    for host in hosts:
        _wire(host.name, host.mac, f"p-{host.name}")
        inside(GATEWAY, "ip", "link", "set", f"p-{host.name}", "master", "br0")
        _address(host.name, f"{host.ip}/24", GATEWAY_IP)
    _wire("cloud", "02:4c:54:4d:01:0a", "wan0")
    _wire("outside", "02:4c:54:4d:02:42", "out0")
    inside(GATEWAY, "ip", "addr", "add", f"{CLOUD_GATEWAY_IP}/24", "dev", "wan0")
    inside(GATEWAY, "ip", "addr", "add", f"{OUTSIDE_GATEWAY_IP}/24", "dev", "out0")
    _address("cloud", f"{CLOUD_IP}/24", CLOUD_GATEWAY_IP)
    for extra in (DNS_IP, NTP_IP):
        inside("cloud", "ip", "addr", "add", f"{extra}/24", "dev", "eth0")
    _address("outside", f"{OUTSIDE_IP}/24", OUTSIDE_GATEWAY_IP)


def inside(namespace: str, *command: str) -> str:
    """Run a short command in a namespace."""
    return run("ip", "netns", "exec", namespace, *command)


def _wire(name: str, mac: str, port: str) -> None:
    """A veth pair between a host's ``eth0`` and a gateway port, without offloads."""
    inside(GATEWAY, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
    inside(name, "ip", "link", "set", "eth0", "address", mac)
    for namespace, link in ((GATEWAY, port), (name, "eth0")):
        inside(namespace, "ip", "link", "set", link, "up")
        inside(namespace, "ethtool", "-K", link, "tso", "off", "gso", "off", "gro", "off", "tx", "off")


def _address(name: str, cidr: str, gateway: str) -> None:
    inside(name, "ip", "addr", "add", cidr, "dev", "eth0")
    inside(name, "ip", "route", "add", "default", "via", gateway)
