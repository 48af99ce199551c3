"""Firmware personalities: what makes two devices of one kind look different on the wire."""

from __future__ import annotations

import random
from dataclasses import dataclass

_SMALL_STACK = {"tcp_timestamps": "0", "tcp_sack": "0", "tcp_window_scaling": "0"}


@dataclass(frozen=True)
class Firmware:
    """A network stack: IPv4 sysctls of the device's namespace, and what its SSH server says it is."""

    sysctls: dict[str, str]
    ssh_version: str = "dropbear_2020.81"
    resolver: str = "gateway"


PERSONALITIES = {
    "embedded-linux": Firmware({"ip_default_ttl": "64"}),
    "old-linux": Firmware({"ip_default_ttl": "64", "tcp_timestamps": "0"}, "OpenSSH_6.7p1 Debian-5"),
    "lwip": Firmware({**_SMALL_STACK, "ip_default_ttl": "255", "tcp_rmem": "4096 5840 5840"}, resolver="cloud"),
    "zephyr": Firmware({**_SMALL_STACK, "ip_default_ttl": "64", "tcp_rmem": "4096 8192 8192"}),
    "rtos": Firmware({**_SMALL_STACK, "ip_default_ttl": "128", "tcp_rmem": "4096 16384 16384"}, resolver="cloud"),
}


@dataclass(frozen=True)
class Personality:
    """A firmware with its settings.

    Attributes:
        firmware: Key of ``PERSONALITIES``.
        pace: Factor on every habit's interval.
        keepalive_s: MQTT keepalive.
        qos: MQTT quality of service.
        size: Factor on payload sizes.
        drift: Relative clock error; it stretches all timers.
        reboot_mean_s: Mean time between power cuts.
        version: MQTT protocol version, 4 (3.1.1) or 5.
    """

    firmware: str
    pace: float = 1.0
    keepalive_s: int = 60
    qos: int = 0
    size: float = 1.0
    drift: float = 0.0
    reboot_mean_s: float = 3600.0
    version: int = 4


def draw(rng: random.Random, firmware: str | None) -> Personality:
    """A personality from the seed; the firmware may be given."""
    drawn = rng.choice(sorted(PERSONALITIES))
    return Personality(
        firmware=firmware or drawn,
        pace=rng.uniform(0.6, 1.7),
        keepalive_s=rng.choice([20, 30, 45, 60, 120]),
        qos=rng.choice([0, 0, 1]),
        size=rng.uniform(0.5, 2.0),
        drift=rng.gauss(0, 2e-4),
        reboot_mean_s=rng.choice([900.0, 2400.0, 7200.0]),
        version=rng.choice([4, 4, 5]),
    )
