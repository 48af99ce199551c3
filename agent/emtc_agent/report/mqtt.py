"""Alerts over MQTT v5: birth, will, retained status and info, QoS 1 alerts (topics in docs/messages.md)."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from emtc_agent.report.broker import BrokerUrl, Connection
from emtc_contract.errors import LinkError
from emtc_contract.messages import Alert, Info, Message, Status, encode
from emtc_contract.topics import build

ALERT_EXPIRY_S = 7 * 86_400
MAX_OUTSTANDING = 64
ACKNOWLEDGE_TIMEOUT_S = 30.0


class MqttPublisher(Connection):
    """Reports to a broker; a context manager that says ``online`` on entry and ``stopped`` at the end.

    Leaving the block waits until the broker has acknowledged every message.

    Args:
        url: Broker.
        client, gateway: Parts of the topics.
        info: Told (retained) on every connection.
        allow_plain, ca_file: See ``Connection``.

    Raises:
        LinkError: The broker refuses, cannot be reached, refuses a message or stops acknowledging.
        MessageError: ``client`` or ``gateway`` cannot stand in a topic.
        InputError: Plain MQTT to another host.
    """

    def __init__(
        self,
        url: BrokerUrl,
        client: str,
        gateway: str,
        info: Info,
        *,
        allow_plain: bool = False,
        ca_file: str | None = None,
    ) -> None:
        self._status, self._info, self._alert = (build(client, gateway, c) for c in ("status", "info", "alert"))
        client_id = f"emtc-{client}-{gateway}-{info.boot[:8]}"
        super().__init__(url, client_id, allow_plain=allow_plain, ca_file=ca_file)
        self._boot, self._about = info.boot, info
        self._progress = threading.Condition()
        self._sent = self._acknowledged = 0
        self._rejected: list[str] = []
        self.client.max_queued_messages_set(2 * MAX_OUTSTANDING)
        self.client.will_set(self._status, encode(Status(state="lost", boot=info.boot)), qos=1, retain=True)
        self.client.on_publish = self._published

    def publish(self, alert: Alert) -> None:
        """Send one alert; waits while the broker is too far behind."""
        self._wait(MAX_OUTSTANDING)
        expiry = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        expiry.MessageExpiryInterval = ALERT_EXPIRY_S
        self._send(self._alert, alert, properties=expiry)

    def on_session(self) -> None:
        """Retained messages are told again after each reconnect: the broker may have lost them."""
        self._send(self._status, Status(state="online", boot=self._boot), retain=True)
        self._send(self._info, self._about, retain=True)

    def __enter__(self) -> MqttPublisher:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send(self._status, Status(state="stopped", boot=self._boot), retain=True)
        try:
            self._wait(1)
        except LinkError:
            if kind is None:  # otherwise the first error is the one to tell
                raise
        finally:
            self.close()

    def _send(
        self, topic: str, message: Message, *, retain: bool = False, properties: Properties | None = None
    ) -> None:
        with self._progress:
            self._sent += 1
        # Not under the lock: paho calls back while it holds locks that publish needs.
        self.client.publish(topic, encode(message), qos=1, retain=retain, properties=properties)

    def _wait(self, fewer_than: int) -> None:
        """Wait until fewer messages are outstanding; raises LinkError for a refusal or a silent broker."""
        with self._progress:
            done = self._progress.wait_for(
                lambda: self._rejected or self._sent - self._acknowledged < fewer_than, ACKNOWLEDGE_TIMEOUT_S
            )
            if self._rejected:
                raise LinkError(f"broker {self.url}: refused a message: {self._rejected[0]}")
            if not done:
                outstanding = self._sent - self._acknowledged
                raise LinkError(
                    f"broker {self.url}: {outstanding} message(s) not acknowledged within {ACKNOWLEDGE_TIMEOUT_S:g} s"
                )

    def _published(
        self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, mid, properties
        with self._progress:
            self._acknowledged += 1
            if reason.is_failure and len(self._rejected) < MAX_OUTSTANDING:
                self._rejected.append(str(reason))
            self._progress.notify_all()
