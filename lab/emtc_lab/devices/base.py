"""What every device has: a life in real time, and what all of them do."""

from __future__ import annotations

import random
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from typing import ClassVar

from emtc_lab.devices.habits import Habit, Spec, plan
from emtc_lab.devices.personality import PERSONALITIES
from emtc_lab.site import SERVICES, host_name

LONGEST_ACTION_S = 150.0
_DHCP_CLIENT_PORT = 68
_QUIET_ERRORS = (OSError, ValueError, subprocess.SubprocessError)


class Device:
    """Carries out a plan with real clients. A kind is a subclass: habits, and a method per action.

    Args:
        spec: Who it is.
        say: Takes (time since the start in s, action) as each is done.
    """

    kind: ClassVar[str]
    habits: ClassVar[tuple[Habit, ...]] = ()
    basics: ClassVar[tuple[Habit, ...]] = (
        Habit("look_up", 90),
        Habit("ask_time", 300),
        Habit("renew_lease", 600),
        Habit("look_up_gone_name", 500),
    )

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.personality = spec.personality
        self.rng = random.Random(spec.seed)

    @classmethod
    def all_habits(cls) -> tuple[Habit, ...]:
        """Own habits and the basic ones."""
        return (*cls.habits, *cls.basics)

    def serve(self) -> None:
        """Start what this device offers on the LAN; nothing by default."""

    def live(self, wait: Callable[[float], object], done: Callable[[float, str], None]) -> None:
        """Go through the plan in real time, for ever."""
        self.serve()
        begin = time.monotonic()
        for number, (at, action) in enumerate(plan(self.spec, self.all_habits())):
            wait(max(begin + at - time.monotonic(), 0))
            self.rng = random.Random(f"{self.spec.seed}:{number}")
            done(at, action)
            try:
                getattr(self, action)()
            except _QUIET_ERRORS as error:
                print(f"{action}: {type(error).__name__} {error}", flush=True)  # noqa: T201 - the lab's log

    def boot(self) -> None:
        """What follows a power cut: address, names, time."""
        self.forget()
        self.renew_lease()
        self.look_up()
        self.ask_time()

    def reboot(self) -> None:
        """A spontaneous restart."""
        self.boot()

    def factory_reset(self) -> None:
        """Someone presses the button: several starts in a row, then registration as a new device."""
        for _ in range(3):
            self.boot()
            self.pause(1.5)
        self.curl("--data", self.text(600), f"http://{host_name('api')}/register")

    def forget(self) -> None:
        """Drop what a restart loses: connections, sessions."""

    def firmware(self) -> None:
        """Download firmware."""
        size = self.rng.choice([200_000, 400_000, 900_000])
        self.curl("--max-time", "120", f"http://{host_name('update')}/firmware?bytes={size}")

    def look_up(self) -> None:
        """Look up a name of the cloud."""
        self.program("dig", "+tries=2", "+time=2", host_name(self.rng.choice(sorted(SERVICES))))

    def look_up_gone_name(self) -> None:
        """Look up a name that is gone: firmware outlives portals."""
        self.program("dig", "+tries=1", "+time=2", f"portal-{self.spec.seed % 7}.example.net")

    def ask_time(self) -> None:
        """Ask for the time."""
        self.program("ntpdig", "-t", "2", host_name("time"))

    def renew_lease(self) -> None:
        """A DHCP exchange; the gateway offers the address it has.

        A socket on the client's port keeps the kernel, which has the address already, from refusing the offer.
        """
        script = ("-s", "/bin/true", "-n", "-q", "-f", "-t", "3", "-T", "2")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("", _DHCP_CLIENT_PORT))
            self.program("udhcpc", "-i", "eth0", *script, "-x", f"hostname:{self.spec.name}", "-r", self.spec.ip)

    def announce(self) -> None:
        """Announce itself by multicast DNS (a PTR response, RFC 6762)."""
        label = self.spec.name.encode()
        record = bytes([len(label)]) + label + b"\xc0\x0c"
        packet = struct.pack(">6H", 0, 0x8400, 0, 1, 0, 0) + b"\x04_iot\x04_tcp\x05local\x00"
        packet += struct.pack(">HHIH", 12, 1, 120, len(record)) + record
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sender.bind((self.spec.ip, 5353))
            sender.sendto(packet, ("224.0.0.251", 5353))

    def ping_gateway(self) -> None:
        """Check the gateway."""
        self.program("ping", "-c", "2", "-W", "1", self.spec.gateway)

    def curl(self, *arguments: str) -> None:
        """Run curl quietly."""
        limit = () if "--max-time" in arguments else ("--max-time", "20")
        self.program("curl", "-s", "-k", "-o", "/dev/null", *limit, *arguments)

    def program(self, *command: str) -> int:
        """Run a program to its end; its exit code."""
        done = subprocess.run(command, capture_output=True, check=False, timeout=LONGEST_ACTION_S)
        return done.returncode

    def text(self, mean_bytes: int) -> str:
        """A JSON-like payload of about that size."""
        size = max(int(mean_bytes * self.personality.size * self.rng.uniform(0.7, 1.3)), 4)
        names = ["t", "rh", "co2", "pm", "v", "i", "rssi", "ts"]
        pairs = (f'"{self.rng.choice(names)}":{self.rng.uniform(0, 1000):.2f}' for _ in range(size // 8 + 1))
        return "{" + ",".join(pairs)[: size - 2] + "}"

    def peers(self, *kinds: str) -> list[str]:
        """Addresses of these kinds of devices on the LAN."""
        return [ip for kind in kinds for ip in self.spec.peers.get(kind, [])]

    @staticmethod
    def pause(seconds: float) -> None:
        """Wait within an action; compression leaves it alone."""
        threading.Event().wait(seconds)

    @property
    def firmware_stack(self) -> str:
        """What this device's SSH server calls itself."""
        return PERSONALITIES[self.personality.firmware].ssh_version
