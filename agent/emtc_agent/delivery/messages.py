"""Alerts as messages for the outbox, and the state of each device as the broker keeps it."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal

from emtc_agent.store import Outgoing
from emtc_contract.messages import Alert, Device, encode
from emtc_contract.topics import build

MAX_DEVICES = 2_048
_NOT_IN_TOPICS = re.compile(r"[^A-Za-z0-9._:-]")
_ANOMALOUS_FROM = 4


def alert_message(alert: Alert, topic: str, lifetime_s: float) -> Outgoing:
    """An alert on its way; an update or end makes an update that still waits superfluous."""
    return Outgoing(
        topic,
        encode(alert),
        alert.severity_id,
        lifetime_s,
        incident=alert.id,
        replaces="" if alert.state == "new" else f"update {alert.id}",
    )


class Devices:
    """Which devices are in an incident, as retained messages.

    Args:
        client, gateway, boot: Of this gateway.
        most: Devices remembered; of those that are normal the one that changed longest ago is forgotten first.
    """

    def __init__(self, client: str, gateway: str, boot: str, most: int = MAX_DEVICES) -> None:
        self._client, self._gateway, self._boot, self._most = client, gateway, boot, most
        self._states: OrderedDict[str, Device] = OrderedDict()

    def note(self, alerts: Iterable[Alert]) -> list[tuple[str, bytes | None]]:
        """Topics to tell, with payloads; None takes a topic off the broker."""
        told: list[tuple[str, bytes | None]] = []
        for alert in alerts:
            device = self._device(alert)
            before = self._states.get(device.id)
            if before is not None and (before.state, before.incident) == (device.state, device.incident):
                continue
            self._states[device.id] = device
            self._states.move_to_end(device.id)
            told.append((self.topic(device.id), encode(device)))
            if len(self._states) > self._most:
                told.append((self.topic(self._forget()), None))
        return told

    @property
    def known(self) -> tuple[str, ...]:
        """Ids of the devices."""
        return tuple(self._states)

    def topic(self, device_id: str) -> str:
        """Where the state of a device is told."""
        return build(self._client, self._gateway, "device", _NOT_IN_TOPICS.sub("-", device_id)[:128] or "-")

    def _device(self, alert: Alert) -> Device:
        state: Literal["normal", "suspect", "anomalous"] = "suspect"
        if alert.state == "end":
            state = "normal"
        elif alert.severity_id >= _ANOMALOUS_FROM:
            state = "anomalous"
        incident = None if state == "normal" else alert.id
        return Device(id=alert.endpoint.id, state=state, since=alert.ts, boot=self._boot, incident=incident)

    def _forget(self) -> str:
        normal = (device_id for device_id, device in self._states.items() if device.state == "normal")
        gone = next(normal, next(iter(self._states)))
        del self._states[gone]
        return gone
