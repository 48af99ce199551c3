"""What devices do: ``python -m emtc_lab.devices KIND SEED BROKER_ID`` runs one until it is terminated.

A device is a set of habits, each with a mean interval; the order and the jitter follow from the seed alone
(``plan_day``), the traffic comes from real clients. Every now and then a device reboots.
"""

from __future__ import annotations

import heapq
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from emtc_lab.services import CAMERA_PORT
from emtc_lab.topology import CLOUD_IP, DNS_IP, LAN, NTP_IP

REBOOT_MEAN_S = 400.0


@dataclass(frozen=True)
class Habit:
    """Something a device does again and again.

    Attributes:
        name: Function below, without the leading ``do_``.
        mean_s: Mean time between two of them.
        argument: Handed to the function.
    """

    name: str
    mean_s: float
    argument: int = 0


BASICS = (Habit("dns", 50), Habit("ntp", 120), Habit("mdns", 90), Habit("ping", 150), Habit("nxdomain", 300))
KINDS: dict[str, tuple[Habit, ...]] = {
    "mqtt_sensor": (*BASICS, Habit("publish", 7, 120)),
    "mqtt_gauge": (*BASICS, Habit("publish", 20, 400)),
    "mqtt_sleeper": (*BASICS, Habit("publish_once", 30)),
    "coap_sensor": (*BASICS, Habit("coap", 9), Habit("coap_missing", 240)),
    "http_reporter": (
        *BASICS,
        Habit("http_post", 15, 600),
        Habit("firmware", 500),
        Habit("http_missing", 300),
    ),
    "tls_reporter": (*BASICS, Habit("https_post", 25, 900)),
    "modbus_meter": (*BASICS, Habit("publish", 60, 200)),
    "camera": (*BASICS, Habit("stream", 45, 8), Habit("https_post", 120, 4000)),
}
MASTER = (*BASICS, Habit("modbus_poll", 4), Habit("modbus_write", 90))


def plan_day(habits: tuple[Habit, ...], seed: int) -> Iterator[tuple[float, Habit | None]]:
    """Endless (time in s, habit) in order of time; ``None`` stands for a reboot. Depends on the seed only."""
    rng = random.Random(seed)
    pace = {habit: habit.mean_s * rng.uniform(0.7, 1.4) for habit in habits}  # the device's firmware
    queue = [(rng.uniform(0, pace[habit]), number, habit) for number, habit in enumerate(habits)]
    heapq.heapify(queue)
    reboot_at = rng.expovariate(1 / REBOOT_MEAN_S)
    while True:
        at, number, habit = heapq.heappop(queue)
        if at >= reboot_at:
            yield reboot_at, None
            reboot_at += rng.expovariate(1 / REBOOT_MEAN_S)
        yield at, habit
        heapq.heappush(queue, (at + pace[habit] * rng.uniform(0.8, 1.2), number, habit))


class Device:
    """Carries out habits with real clients.

    Args:
        name: Name towards the broker.
        seed: Source of payload sizes.
        peers: LAN addresses this device talks to (the master's meters).
    """

    def __init__(self, name: str, seed: int, peers: list[str]) -> None:
        self._name = name
        self._rng = random.Random(seed + 1)
        self._peers = peers
        self._mqtt: mqtt.Client | None = None

    def run(self, habits: tuple[Habit, ...], seed: int, wait: Callable[[float], object]) -> None:
        """Live through the plan in real time."""
        begin = time.monotonic()
        self.boot()
        for at, habit in plan_day(habits, seed):
            wait(max(begin + at - time.monotonic(), 0))
            try:
                if habit is None:
                    self.boot()
                else:
                    getattr(self, f"do_{habit.name}")(habit.argument)
            except (OSError, ValueError, subprocess.TimeoutExpired) as error:
                print(f"{time.time():.3f} {habit}: {error}", flush=True)  # noqa: T201 - goes to the lab's log

    def boot(self) -> None:
        """Forget connections; look up names and the time as after a power cut."""
        if self._mqtt is not None:
            self._mqtt.disconnect()
            self._mqtt.loop_stop()
            self._mqtt = None
        for name in ("broker", "api", "time"):
            self._call("dig", "+tries=2", "+time=2", f"@{DNS_IP}", f"{name}.iot.example")
        self.do_ntp(0)

    def do_dns(self, _: int) -> None:
        """Look up a name of the cloud."""
        name = self._rng.choice(["broker", "api", "coap", "update"])
        self._call("dig", "+tries=2", "+time=2", f"@{DNS_IP}", f"{name}.iot.example")

    def do_nxdomain(self, _: int) -> None:
        """Look up a name that is gone."""
        self._call("dig", "+tries=1", "+time=2", f"@{DNS_IP}", "old-portal.example.net")

    def do_ntp(self, _: int) -> None:
        """Ask for the time."""
        self._call("ntpdig", "-t", "2", NTP_IP)

    def do_ping(self, _: int) -> None:
        """Check the gateway."""
        self._call("ping", "-c", "2", "-W", "1", f"{LAN}.1")

    def do_mdns(self, _: int) -> None:
        """Announce itself (a PTR response, RFC 6762)."""
        label = self._name.encode()
        name = b"\x04_iot\x04_tcp\x05local\x00"
        record = bytes([len(label)]) + label + b"\xc0\x0c"
        packet = struct.pack(">6H", 0, 0x8400, 0, 1, 0, 0) + name
        packet += struct.pack(">HHIH", 12, 1, 120, len(record)) + record
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            sender.bind(("", 5353))
            sender.sendto(packet, ("224.0.0.251", 5353))

    def do_publish(self, size: int) -> None:
        """Publish over a lasting connection."""
        if self._mqtt is None:
            self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self._name, protocol=mqtt.MQTTv311)
            self._mqtt.connect(CLOUD_IP, 1883, keepalive=self._rng.choice([20, 45, 60]))
            self._mqtt.loop_start()
        payload = "x" * self._rng.randint(size // 2, size)
        self._mqtt.publish(f"site/{self._name}/telemetry", payload, qos=self._rng.choice([0, 1]))

    def do_publish_once(self, _: int) -> None:
        """Connect, publish, go back to sleep."""
        message = "y" * self._rng.randint(20, 200)
        self._call("mosquitto_pub", "-h", CLOUD_IP, "-q", "1", "-t", f"site/{self._name}/once", "-m", message)

    def do_coap(self, _: int) -> None:
        """Send a reading or ask for the time."""
        if self._rng.random() < 0.3:
            self._call("coap-client-notls", "-B", "3", "-m", "get", f"coap://{CLOUD_IP}/time")
        else:
            value = "z" * self._rng.randint(8, 60)
            self._call("coap-client-notls", "-B", "3", "-m", "put", "-e", value, f"coap://{CLOUD_IP}/{self._name}")

    def do_coap_missing(self, _: int) -> None:
        """Ask for a resource that is not there."""
        self._call("coap-client-notls", "-B", "3", "-m", "get", f"coap://{CLOUD_IP}/old")

    def do_http_post(self, size: int) -> None:
        """Report over HTTP."""
        self._curl(f"http://{CLOUD_IP}/report", size)

    def do_http_missing(self, _: int) -> None:
        """Ask for a page that is gone."""
        self._call("curl", "-s", "-m", "10", "-o", "/dev/null", f"http://{CLOUD_IP}/missing")

    def do_https_post(self, size: int) -> None:
        """Report over TLS."""
        self._curl(f"https://{CLOUD_IP}/report", size, "-k")

    def do_firmware(self, _: int) -> None:
        """Download firmware at the rate of an LTE-M link."""
        self._call("curl", "-s", "-m", "60", "--limit-rate", "60k", "-o", "/dev/null", f"http://{CLOUD_IP}/firmware")

    def do_stream(self, seconds: int) -> None:
        """Send a camera stream: 15 frames a second."""
        source = self._rng.randint(0, 2**32 - 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            tick = threading.Event()
            for number in range(15 * seconds):
                header = struct.pack(">BBHII", 0x80, 96, number & 0xFFFF, number * 6000, source)
                sender.sendto(header + bytes(self._rng.randint(300, 1100)), (CLOUD_IP, CAMERA_PORT))
                tick.wait(1 / 15)

    def do_modbus_poll(self, _: int) -> None:
        """Read the registers of every meter."""
        for peer in self._peers:
            self._modbus(peer, struct.pack(">BHH", 3, 0, 10))

    def do_modbus_write(self, _: int) -> None:
        """Set a register of one meter."""
        if self._peers:
            self._modbus(self._rng.choice(self._peers), struct.pack(">BHH", 6, 1, self._rng.randint(0, 99)))

    def _modbus(self, peer: str, request: bytes) -> None:
        with socket.create_connection((peer, 502), timeout=3) as connection:
            header = struct.pack(">HHHB", self._rng.randint(0, 0xFFFF), 0, len(request) + 1, 1)
            connection.sendall(header + request)
            connection.recv(256)

    def _curl(self, url: str, size: int, *options: str) -> None:
        body = "d" * self._rng.randint(size // 2, size)
        self._call("curl", "-s", "-m", "10", "-o", "/dev/null", *options, "--data", body, url)

    def _call(self, *command: str) -> None:
        subprocess.run(command, capture_output=True, check=False, timeout=90)


def main(kind: str, seed: str, name: str, *peers: str) -> None:
    """Run one device."""
    habits = MASTER if kind == "master" else KINDS[kind]
    Device(name, int(seed), list(peers)).run(habits, int(seed), threading.Event().wait)


if __name__ == "__main__":
    main(*sys.argv[1:])
