"""Where a broker is and how to connect to it: MQTT v5, TLS except on loopback, refusals told with their reason."""

from __future__ import annotations

import ipaddress
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from emtc_agent.report.credentials import Credentials
from emtc_contract.errors import InputError, LinkError

CONNECT_TIMEOUT_S = 10.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """``mqtt[s]://[user[:password]@]host[:port]``; its text never contains the credentials."""

    host: str
    port: int
    tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> BrokerUrl:
        """Parse a URL; raises InputError that says what is wrong with it."""
        form = "a broker is mqtt://host[:port] or mqtts://host[:port]"
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise InputError(f"{form}: {error}") from None
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
            raise InputError(f"{form}, not {_without_credentials(text)!r}")
        return cls(
            host=parts.hostname,
            port=_PORTS[parts.scheme] if port is None else port,
            tls=parts.scheme == "mqtts",
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )

    @property
    def is_loopback(self) -> bool:
        """Whether the broker is on this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def _without_credentials(text: str) -> str:
    head, _, tail = text.rpartition("@")
    return f"...@{tail}" if head else text


class Connection:
    """A paho client whose first connection is checked: refused or unreachable is a LinkError.

    Later losses are repaired in the background with growing pauses.

    Args:
        url: Broker.
        client_id: Unique per connection.
        allow_plain: Allow a connection without TLS to another host.
        ca_file: Certificate authorities for TLS; the system's if None.
        certificate, private_key: Of this client, where the broker wants one.
        keepalive_s: Seconds between signs of life.
    """

    def __init__(
        self,
        url: BrokerUrl,
        client_id: str,
        *,
        allow_plain: bool = False,
        ca_file: str | None = None,
        certificate: str | None = None,
        private_key: str | None = None,
        keepalive_s: int = 60,
    ) -> None:
        if not (url.tls or url.is_loopback or allow_plain):
            raise InputError(f"{url}: plain MQTT to another host; use mqtts:// or --allow-plain")
        self.url = url
        self.client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.reconnect_delay_set(1, 60)
        self.client.on_connect = self._connected
        if url.user:
            self.client.username_pw_set(url.user, url.password)
        if url.tls:
            ca, own, key = (None if name is None else Path(name) for name in (ca_file, certificate, private_key))
            self.client.tls_set_context(Credentials(ca, own, key).tls())
        self._keepalive_s = keepalive_s
        self._answered = threading.Event()
        self._refusal: str | None = None

    def open(self) -> None:
        """Connect and wait for the broker's word; raises LinkError."""
        try:
            self.client.connect(self.url.host, self.url.port, self._keepalive_s)
        except (OSError, ValueError) as error:
            raise LinkError(f"broker {self.url}: cannot connect: {_reason(error)}") from None
        self.client.loop_start()
        if not self._answered.wait(CONNECT_TIMEOUT_S):
            self.close()
            raise LinkError(f"broker {self.url}: no answer within {CONNECT_TIMEOUT_S:g} s; is it an MQTT v5 broker?")
        if self._refusal:
            self.close()
            raise LinkError(f"broker {self.url}: refused: {self._refusal}")

    def close(self) -> None:
        """Disconnect and stop the network thread."""
        client = self.client
        client.disconnect()
        client.loop_stop()
        client.on_connect = client.on_publish = client.on_message = client.on_subscribe = None  # they point back here

    def on_session(self) -> None:
        """Called after every successful connection, from the network thread."""

    def _connected(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, flags, properties
        self._refusal = str(reason) if reason.is_failure else None
        if not reason.is_failure:
            self.on_session()
        self._answered.set()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
