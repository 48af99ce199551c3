"""Scenes for ``test_live.py``, played inside a network namespace of their own.

``python live_scene.py SCENE AGENT (veth|tun) [RECORDING]``: the agent watches the interface "in"; packets come
from the other end of its wire, or through a TUN device. Prints what the agent printed.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import floods

_TUNSETIFF, _TUN_WITHOUT_INFO = 0x400454CA, 0x1001
Send = Callable[[bytes], int]


def ip(text: str) -> None:
    subprocess.run(["ip", *text.split()], check=True)


def start(command: Sequence[str], ready: bytes) -> subprocess.Popen[bytes]:
    """Start a program and wait until it says that it is ready."""
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while ready not in (line := program.stderr.readline()):
        assert line, command
    return program


def wire(kind: str) -> Send:
    """Make the interfaces; returns what sends a packet to the watched one."""
    if kind == "tun":
        ip("tuntap add in mode tun")
        ip("link set in up")
        end = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", b"in", _TUN_WITHOUT_INFO))
        return lambda octets: os.write(end, octets)
    ip("link add in type veth peer name out")
    ip("link set in up")
    ip("link set out up")
    channel = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    channel.bind(("out", 0))
    return channel.send


def flood(packets: int, kind: str) -> list[bytes]:
    made = floods.syn_flood(packets, "10.1.2.3", sources="77", ether=kind != "tun")
    return [octets for _, octets in floods.octets_of(made)]


def recorded(send: Send, kind: str, recording: str) -> None:
    """A flood of some seconds, recorded by another program as well."""
    packets = flood(6_000, kind)
    record = ["dumpcap", "-q", "-s", "128", "-c", str(len(packets)), "-w", recording, "-i", "in"]
    recorder = start(record, b"File:")
    for number, octets in enumerate(packets):
        send(octets)
        if number % 100 == 99:
            select.select([], [], [], 0.08)
    recorder.communicate(timeout=60)


def unplugged(send: Send, kind: str) -> None:
    """The interface goes down and up, is renamed, and is at last another one of the same name."""
    (packet,) = flood(1, kind)
    send(packet)
    ip("link set in down")
    ip("link set in up")
    send(packet)
    ip("link set in down")
    ip("link set in name elsewhere")
    ip("link set elsewhere up")
    send(packet)
    ip("link del elsewhere")
    send = wire(kind)
    until = time.monotonic() + 4  # the agent looks every second
    while time.monotonic() < until:
        send(packet)
        select.select([], [], [], 0.05)


def main(scene: str, agent: str, kind: str, *more: str) -> None:
    for which in ("all", "default"):  # IPv6 greets new links by itself
        Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
    send = wire(kind)
    watching = start([agent, "run", "-i", "in", "--json"], b"watching in")
    {"recorded": recorded, "unplugged": unplugged}[scene](send, kind, *more)
    watching.send_signal(signal.SIGINT)
    out, errors = watching.communicate(timeout=60)
    sys.stdout.buffer.write(out)
    sys.stderr.buffer.write(errors)
    sys.exit(watching.returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
