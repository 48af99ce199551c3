"""MQTT discovery of Home Assistant: the gateway as a device, each IoT device as a problem sensor of it.

Format: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from emtc_contract.topics import build

STATUS_TOPIC = "homeassistant/status"
"""Where Home Assistant says ``online``: then it has to be told again."""
_MOST_DEVICES = 256


def discovery(client: str, gateway: str, version: str, devices: Iterable[tuple[str, str]]) -> tuple[str, bytes]:
    """Topic and payload of the announcement.

    Args:
        client, gateway: Parts of the topics.
        version: Of the agent.
        devices: Id and state topic of each device.
    """
    unique = f"emtc-{client}-{gateway}"
    status = build(client, gateway, "status")
    components: dict[str, dict[str, object]] = {
        f"{unique}-{_plain(device)}": {
            "platform": "binary_sensor",
            "device_class": "problem",
            "name": device,
            "unique_id": f"{unique}-{_plain(device)}",
            "state_topic": topic,
            "value_template": "{{ 'OFF' if value_json.state == 'normal' else 'ON' }}",
            "json_attributes_topic": topic,
        }
        for device, topic in list(devices)[:_MOST_DEVICES]
    }
    components[f"{unique}-online"] = {
        "platform": "binary_sensor",
        "device_class": "connectivity",
        "name": "online",
        "unique_id": f"{unique}-online",
        "state_topic": status,
        "value_template": "{{ 'ON' if value_json.state == 'online' else 'OFF' }}",
        "availability": [],
    }
    payload = {
        "device": {"identifiers": [unique], "name": f"emtc-guard {gateway}", "sw_version": version},
        "origin": {"name": "emtc-guard", "sw_version": version},
        "availability": [
            {
                "topic": status,
                "value_template": "{{ 'online' if value_json.state == 'online' else 'offline' }}",
            }
        ],
        "components": components,
    }
    return f"homeassistant/device/{unique}/config", msgspec.json.encode(payload)


def _plain(device: str) -> str:
    return re.sub("[^a-zA-Z0-9_-]", "_", device)
