"""Running something in a network namespace of its own and seeing every packet it sends."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_INSIDE = """
import socket, subprocess, sys
for command in (
    "ip link set lo up",
    "ip link add out type veth peer name nowhere",
    "ip link set nowhere up",
    "ip addr add 192.0.2.1/24 dev out",
    "ip link set out up",
    "ip route add default dev out",
):
    subprocess.run(command.split(), check=True)
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as ear:
    ear.setblocking(False)
    heard = []
    def listen():
        try:
            while True:
                octets, (device, *_) = ear.recvfrom(200)
                if octets[12:14] != bytes([0x86, 0xDD]):  # IPv6 greets its new link by itself
                    heard.append((device, octets.hex()))
        except BlockingIOError:
            pass
    done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
    listen()
print(len(heard), *heard[:3])
sys.exit(done.returncode)
"""


def packets_sent_by(*command) -> int:
    """Packets (ARP included) a command sends in a namespace with a default route to nowhere; it must exit 0."""
    wanted = ["unshare", "-Urn", sys.executable, "-c", _INSIDE, *map(str, command)]
    done = subprocess.run(wanted, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return int(done.stdout.split()[0])


def need_namespaces() -> None:
    """Skip where they cannot be made."""
    probe = subprocess.run(
        ["unshare", "-Urn", "ip", "link", "add", "x", "type", "veth", "peer", "name", "y"],
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode:
        pytest.skip(f"network namespaces are not available here: {probe.stderr.strip()[:100]}")


def need_lab() -> None:
    """Skip where the lab cannot be built: no namespaces, or no TAP interfaces."""
    need_namespaces()
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"/dev/net/tun cannot be opened: {error.strerror}")
