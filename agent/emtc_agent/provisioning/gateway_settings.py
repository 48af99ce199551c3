"""The settings file of each gateway: what the fleet list says, and where provisioning puts its files."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from emtc_agent.provisioning.fleet import Fleet, Gateway, Settings
from emtc_agent.settings import parse_settings
from emtc_contract.errors import InputError

CREDENTIAL_PREFIX = "mqtt_"
"""``LoadCredential=mqtt:FOLDER`` of the unit names each file of the folder so."""
STATE_FOLDER = "/var/lib/emtc-guard"
CA_FILE = "ca.crt"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def gateway_settings(fleet: Fleet, gateway: Gateway, *, own_ca: bool, keys: tuple[str, ...]) -> Settings:
    """Section -> key -> value; a gateway's own go over the fleet's, and those over what provisioning knows.

    Args:
        fleet: All of the list.
        gateway: Whose settings.
        own_ca: Whether a certificate authority's file lies beside the settings.
        keys: Names of the public keys beside the settings, one of which has to have signed a model.
    """
    broker: dict[str, Any] = {"url": fleet.broker.url}
    if own_ca:
        broker["ca_file"] = CA_FILE
    broker |= {"certificate": f"{CREDENTIAL_PREFIX}client.crt", "private_key": f"{CREDENTIAL_PREFIX}client.key"}
    if fleet.broker.home_assistant:
        broker["home_assistant"] = True
    settings: Settings = {"gateway": {}, "broker": broker, "state": {"folder": STATE_FOLDER}}
    if keys:
        settings["model"] = {"keys": list(keys)}
    for layer in (fleet.settings, gateway.settings):
        for section, values in layer.items():
            settings[section] = settings.get(section, {}) | values
    settings["gateway"] |= {"client": gateway.client, "name": gateway.name}
    return settings


def settings_text(settings: Settings, where: str) -> str:
    """The settings as a file, checked as the agent will check it; ``where`` names it in errors."""
    lines = ["# Made by emtc-agent provision from the fleet list: change that, not this."]
    for section, values in settings.items():
        lines += ["", f"[{_key(section)}]"]
        lines += [f"{_key(key)} = {_toml(value, f'{where}: {section}.{key}')}" for key, value in values.items()]
    text = "\n".join(lines) + "\n"
    parse_settings(text, where)
    return text


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _toml(name, name)


def _toml(value: Any, where: str) -> str:
    if isinstance(value, str):
        return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")  # else JSON's escapes are TOML's
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one, where) for one in value) + "]"
    raise InputError(f"{where}: no setting is a {type(value).__name__}")
