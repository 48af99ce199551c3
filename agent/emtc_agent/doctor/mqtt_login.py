"""MQTT v5 CONNECT and what comes back, on a socket of one's own: the doctor wants to know at which byte it ends.

OASIS MQTT 5.0, sections 3.1 and 3.2. No will, a client id of its own, clean start: a running agent is not disturbed.
"""

from __future__ import annotations

import secrets
import socket
import struct
from dataclasses import dataclass

from paho.mqtt import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from emtc_contract.errors import LinkError

_CONNECT, _CONNACK, _DISCONNECT, _TLS_ALERT = 0x10, 0x20, b"\xe0\x00", 0x15
_CLEAN_START, _PASSWORD, _USER = 0x02, 0x40, 0x80
_KEEPALIVE_S = 30
_MOST_BYTES = 16_384
_DAMAGED = (MQTTException, ValueError, IndexError, KeyError, TypeError, struct.error)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a broker says to CONNECT.

    Attributes:
        code: Reason code; 0 is yes, 1 is a broker of MQTT 3.1.1 that refuses version 5.
        most_qos: Highest QoS it takes.
        retains: Whether it keeps retained messages.
    """

    code: int
    most_qos: int = 2
    retains: bool = True

    @property
    def reason(self) -> str:
        """The code in words."""
        if self.code == 1:
            return "it speaks no MQTT v5"
        try:
            return str(ReasonCode(PacketTypes.CONNACK, identifier=self.code))
        except (KeyError, ValueError):
            return f"reason code {self.code:#x}"


def log_in(channel: socket.socket, user: str | None, password: str | None) -> Answer:
    """Say CONNECT, and goodbye if it was accepted; the channel has a time-out.

    Raises:
        LinkError: The other side is no broker, or ends the connection.
        OSError: As the system, or TLS, says.
    """
    channel.sendall(_connect(f"emtc-doctor-{secrets.token_hex(4)}", user, password))
    answer = _read(channel)
    if answer.code == 0:
        channel.sendall(_DISCONNECT)
    return answer


def _connect(client_id: str, user: str | None, password: str | None) -> bytes:
    flags = _CLEAN_START | (_USER if user is not None else 0) | (_PASSWORD if password is not None else 0)
    head = _text("MQTT") + struct.pack("!BBHB", 5, flags, _KEEPALIVE_S, 0)
    body = head + b"".join(_text(one) for one in (client_id, user, password) if one is not None)
    return bytes([_CONNECT]) + _length(len(body)) + body


def _text(text: str) -> bytes:
    octets = text.encode()
    return struct.pack("!H", len(octets)) + octets


def _length(number: int) -> bytes:
    """A variable byte integer: seven bits a byte, the lowest first."""
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])


def _read(channel: socket.socket) -> Answer:
    kind = _exactly(channel, 1)[0]
    if kind == _TLS_ALERT:
        raise LinkError("speaks TLS, not plain MQTT")
    if kind != _CONNACK:
        raise LinkError("answers something that is not MQTT")
    body = _exactly(channel, _read_length(channel))
    if len(body) < 2:
        raise LinkError("answers something that is not MQTT")
    return Answer(body[1]) if len(body) == 2 else _with_limits(body)


def _with_limits(body: bytes) -> Answer:
    limits = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
    try:
        limits.unpack(body[2:])  # type: ignore[no-untyped-call]
    except _DAMAGED:
        raise LinkError("answers with damaged properties") from None
    told = limits.json()  # type: ignore[no-untyped-call]
    return Answer(body[1], int(told.get("MaximumQoS", 2)), bool(told.get("RetainAvailable", 1)))


def _read_length(channel: socket.socket) -> int:
    length = 0
    for shift in (0, 7, 14, 21):
        octet = _exactly(channel, 1)[0]
        length |= (octet & 0x7F) << shift
        if octet < 0x80:
            break
    if length > _MOST_BYTES:
        raise LinkError("answers something that is not MQTT")
    return length


def _exactly(channel: socket.socket, number: int) -> bytes:
    octets = b""
    while len(octets) < number:
        more = channel.recv(number - len(octets))
        if not more:
            raise LinkError("closed the connection instead of answering")
        octets += more
    return octets
