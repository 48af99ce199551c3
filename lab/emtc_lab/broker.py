"""An MQTT v5 broker in a child process, for demonstrations and quick tests (rumqttd in the iotcore wheel)."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from types import TracebackType

from emtc_contract.errors import LabError

HOST = "127.0.0.1"

# rumqttd's sections [v4.x] speak MQTT 3.1.1 and [v5.x] MQTT 5.
_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "v5-1"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 268435456
max_inflight_count = 100
dynamic_filters = true
"""


class EmbeddedBroker:
    """A broker on a free loopback port; a context manager.

    Attributes:
        port: Where it listens once entered.
    """

    def __init__(self) -> None:
        self.port = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        """``mqtt://127.0.0.1:<port>``."""
        return f"mqtt://{HOST}:{self.port}"

    def __enter__(self) -> EmbeddedBroker:
        try:
            from iotcore import Broker
        except ImportError:
            raise LabError("the embedded broker is not installed: pip install 'emtc-guard[demo]'") from None
        self.port = _free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="emtc-broker-")
        config = Path(self._folder.name) / "rumqttd.toml"
        config.write_text(_CONFIG.format(host=HOST, port=self.port))
        self._broker = Broker(config_path=str(config))
        try:
            self._broker.start()
        except (OSError, RuntimeError) as error:
            self._folder.cleanup()
            raise LabError(f"the embedded broker does not start: {error}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._broker.stop()
        if self._folder:
            self._folder.cleanup()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
