"""Receiving alerts: payloads from a broker are checked like any other input."""

from __future__ import annotations

import queue
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from emtc_agent.report.broker import CONNECT_TIMEOUT_S, BrokerUrl, Connection
from emtc_contract.errors import LinkError, MessageError
from emtc_contract.messages import Alert, Status, decode
from emtc_contract.topics import Topic, parse, subscription

_MAX_WAITING = 10_000


@dataclass(frozen=True, slots=True)
class Received:
    """A message that follows the contract.

    Attributes:
        topic: Where it came from.
        message: Alert or status.
        retained: Whether it was waiting at the broker.
    """

    topic: Topic
    message: Alert | Status
    retained: bool


class Subscriber(Connection):
    """Receives alerts and status of gateways; a context manager, subscribed once entered.

    Args:
        url: Broker.
        client, gateway: Which gateways; ``+`` for all.
        allow_plain, ca_file: See ``Connection``.

    Attributes:
        broken: Messages that did not follow the contract.
        dropped: Messages that came faster than they were read.
    """

    def __init__(
        self,
        url: BrokerUrl,
        client: str = "+",
        gateway: str = "+",
        *,
        allow_plain: bool = False,
        ca_file: str | None = None,
    ) -> None:
        super().__init__(url, f"emtc-watch-{secrets.token_hex(6)}", allow_plain=allow_plain, ca_file=ca_file)
        self.broken = self.dropped = 0
        self._filters = [(subscription(channel, client, gateway), 1) for channel in ("alert", "status")]
        self._messages: queue.Queue[Received] = queue.Queue(_MAX_WAITING)
        self._granted: queue.Queue[list[ReasonCode]] = queue.Queue()
        self.client.on_message = self._received
        self.client.on_subscribe = self._subscribed

    def on_session(self) -> None:
        """Subscribe, on every connection."""
        self.client.subscribe(self._filters)

    def next(self, timeout_s: float) -> Received | None:
        """The next message, or None if none came in time."""
        try:
            return self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def __iter__(self) -> Iterator[Received]:
        while True:
            yield self._messages.get()

    def __enter__(self) -> Subscriber:
        self.open()
        try:
            granted = self._granted.get(timeout=CONNECT_TIMEOUT_S)
        except queue.Empty:
            granted = []
        refused = [str(reason) for reason in granted if reason.is_failure]
        if refused or not granted:
            self.close()
            raise LinkError(f"broker {self.url}: subscription refused: {(refused or ['no answer'])[0]}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _subscribed(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        del client, userdata, mid, properties
        self._granted.put(reasons)

    def _received(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        del client, userdata
        try:
            topic = parse(message.topic)
            payload = bytes(message.payload)
            content = decode(payload, Alert) if topic.channel == "alert" else decode(payload, Status)
            received = Received(topic, content, message.retain)
        except (MessageError, UnicodeDecodeError):
            self.broken += 1
            return
        try:
            self._messages.put_nowait(received)
        except queue.Full:
            self.dropped += 1
