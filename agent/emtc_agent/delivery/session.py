"""One MQTT v5 session, from CONNECT to its loss, in the thread that serves it.

paho keeps what it sends in memory and repeats it by rules of its own; here a session is thrown away when it ends, and
the outbox says what has to be sent again.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from emtc_agent.delivery.traffic import carried_bytes
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.report.credentials import Credentials
from emtc_contract.errors import LinkError
from emtc_contract.messages import MAX_PAYLOAD_BYTES

CONNECT_TIMEOUT_S = 20.0
"""For each of name look-up and TCP, TLS, and the broker's answer."""
_UNANSWERED_MS = 60_000
"""After which sent data that nobody acknowledges ends a connection (RFC 5482)."""
_MOST_IN_FLIGHT = 16
_SESSION_EXPIRY_S = 86_400
_TURN_S = 1.0
_ROOM_BYTES = 4_096  # besides the payload of a message
_FRAME_BYTES = 64  # besides topic, payload and correlation data

Address = tuple[str, int]
OnMessage = Callable[[MQTTMessage], None]
OnAnswer = Callable[[int, str | None], None]


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker tells when this session is lost."""

    topic: str
    payload: bytes


class Session:
    """A connection; made means open and accepted.

    Attributes:
        in_flight: Ids of messages that wait for an acknowledgement.
        most_in_flight: How many may.
        pair: Own and the broker's address.

    Args:
        url: Broker.
        client_id: The same each time, so that the broker keeps commands for a day.
        credentials: Certificates and password.
        will: Retained at the broker if the session is lost.
        keepalive_s: Longest silence.
        on_message: Called with each message that comes.
        on_answer: Called with the id of each acknowledged message, and the reason if it was refused.

    Raises:
        LinkError: Unreachable, or refused, with the broker's reason.
        InputError: Credentials that cannot be used.
    """

    def __init__(
        self,
        url: BrokerUrl,
        client_id: str,
        credentials: Credentials,
        will: Will,
        keepalive_s: int,
        on_message: OnMessage,
        on_answer: OnAnswer,
    ) -> None:
        self.in_flight: set[int] = set()
        self.most_in_flight = _MOST_IN_FLIGHT
        self.pair: tuple[Address, Address] | None = None
        self._largest_bytes: int | None = None
        self._meter: socket.socket | None = None
        self._url = url
        self._answer: str | None = None  # the reason of a refusal, empty for none
        self._lost: str | None = None
        self._on_message, self._on_answer = on_message, on_answer
        client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)  # the limit is ours
        client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_publish, client.on_message = self._published, self._received
        if credentials.user:
            client.username_pw_set(credentials.user, credentials.password())
        if url.tls:
            client.tls_set_context(credentials.tls())
        self._client = client
        self._open(keepalive_s)

    def _open(self, keepalive_s: int) -> None:
        properties = _properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=_SESSION_EXPIRY_S,
            MaximumPacketSize=MAX_PAYLOAD_BYTES + _ROOM_BYTES,
            ReceiveMaximum=_MOST_IN_FLIGHT,
        )
        try:
            self._client.connect(
                self._url.host, self._url.port, keepalive_s, clean_start=False, properties=properties
            )
        except (OSError, ValueError) as error:
            raise LinkError(f"broker {self._url}: cannot connect: {_reason(error)}") from None
        channel = self.channel
        if channel is not None:
            self._watch_traffic(channel)
        until_s = time.monotonic() + CONNECT_TIMEOUT_S
        while self._answer is None and time.monotonic() < until_s and self._lost is None:
            self.turn(until_s - time.monotonic())
        if self._answer == "" and self.pair is not None:
            return
        told = f"refused: {self._answer}" if self._answer else self._lost
        self.close()
        raise LinkError(f"broker {self._url}: {told or f'no answer within {CONNECT_TIMEOUT_S:g} s; is it MQTT v5?'}")

    def _watch_traffic(self, channel: socket.socket) -> None:
        """Keep a second handle, which still tells what was carried when the connection has been lost."""
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_MS)
        self._meter = socket.socket(fileno=os.dup(channel.fileno()))
        with contextlib.suppress(OSError):
            self.pair = channel.getsockname()[:2], channel.getpeername()[:2]

    def carried_bytes(self) -> int:
        """What the connection has put on the link so far."""
        return carried_bytes(self._meter) if self._meter is not None else 0

    @property
    def lost(self) -> str | None:
        """Why the session has ended; None while it lasts."""
        return self._lost

    @property
    def channel(self) -> socket.socket | None:
        """The TCP connection (below TLS)."""
        found = self._client.socket()
        return found if isinstance(found, socket.socket) else None

    @property
    def room(self) -> int:
        """How many messages may be sent before one is acknowledged."""
        return max(self.most_in_flight - len(self.in_flight), 0)

    def takes(self, topic: str, payload: bytes, correlation: bytes | None = None) -> bool:
        """Whether a message is small enough for the broker, which ends the session otherwise."""
        size_bytes = len(topic) + len(payload) + len(correlation or b"") + _FRAME_BYTES
        return self._largest_bytes is None or size_bytes <= self._largest_bytes

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, **properties: Any) -> int:
        """Send a message at QoS 1; returns its id, which ``on_answer`` gets."""
        info = self._client.publish(
            topic, payload, qos=1, retain=retain, properties=_properties(PacketTypes.PUBLISH, **properties)
        )
        self.in_flight.add(info.mid)
        return int(info.mid)

    def subscribe(self, filters: Sequence[str]) -> None:
        """Ask for messages."""
        if filters:
            self._client.subscribe([(one, 1) for one in filters])

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Ask for no more of them."""
        if filters:
            self._client.unsubscribe(list(filters))

    def turn(self, timeout_s: float = _TURN_S, wake: int | None = None) -> None:
        """Send and receive what is ready; wait for that or for ``wake`` to be readable, but not for long."""
        channel = self.channel
        if channel is None:
            self._lost = self._lost or "connection lost"
            return
        waiting: list[socket.socket | int] = [channel] if wake is None else [channel, wake]
        writing = [channel] if self._client.want_write() else []
        pending = _pending(channel)
        readable, writable, _ = select.select(waiting, writing, [], 0 if pending else max(min(timeout_s, _TURN_S), 0))
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        if writable:
            code = self._client.loop_write()
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS and (channel in readable or pending):
            code = self._client.loop_read()
            readable, pending = [], self._client.socket() is not None and _pending(channel)
        if code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            code = self._client.loop_misc()
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lost = self._lost or str(code.name).removeprefix("MQTT_ERR_").lower().replace("_", " ")

    def close(self) -> None:
        """Say goodbye, if that is possible, and let go."""
        client = self._client
        client.disconnect()
        if client.socket() is not None and client.want_write():
            client.loop_write()
        for channel in (client.socket(), self._meter):
            if channel is not None:
                channel.close()
        self._meter = None
        client.on_connect = client.on_disconnect = client.on_publish = client.on_message = (
            None  # they point back here
        )

    def _connected(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, flags
        self._answer = str(reason) if reason.is_failure else ""
        told = properties.json() if properties is not None else {}  # type: ignore[no-untyped-call]
        self.most_in_flight = min(_MOST_IN_FLIGHT, int(told.get("ReceiveMaximum", _MOST_IN_FLIGHT)))
        largest = told.get("MaximumPacketSize")
        self._largest_bytes = int(largest) if largest else None

    def _disconnected(self, client: Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        del client, userdata, flags, properties
        told = str(reason)
        self._lost = "connection lost" if told == "Unspecified error" else told

    def _published(
        self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, properties
        self.in_flight.discard(mid)
        self._on_answer(mid, str(reason) if reason.is_failure else None)

    def _received(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        del client, userdata
        self._on_message(message)


def _properties(kind: int, **values: Any) -> Properties:
    properties = Properties(kind)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return properties


def _pending(channel: Any) -> bool:
    """Whether TLS holds octets that ``select`` does not see."""
    return bool(channel.pending()) if hasattr(channel, "pending") else False


def _reason(error: Exception) -> str:
    verify = getattr(error, "verify_message", None)  # of ssl.SSLCertVerificationError: says more than strerror
    if verify:
        return f"certificate: {verify}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
