"""MQTT topics: the one place that builds and parses them (see docs/messages.md)."""

from __future__ import annotations

import re

import msgspec

from emtc_contract.errors import MessageError

ROOT = "emtc/v1"
_NAME = re.compile(r"[a-z0-9-]{1,64}\Z")
_DEVICE = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")
_CHANNELS = frozenset({"status", "info", "health", "alert", "digest", "model"})
_WITH_ARGUMENT = frozenset({"device", "cmd", "reply", "chunk"})


class Topic(msgspec.Struct, frozen=True):
    """A parsed topic: ``emtc/v1/<client>/<gateway>/<channel>[/<argument>]``."""

    client: str
    gateway: str
    channel: str
    argument: str | None = None

    def __str__(self) -> str:
        tail = "" if self.argument is None else f"/{self.argument}"
        return f"{ROOT}/{self.client}/{self.gateway}/{self.channel}{tail}"


def check_name(value: str, what: str) -> str:
    """Return ``value`` if it may stand in a topic as client or gateway, else raise MessageError."""
    if not _NAME.match(value):
        raise MessageError(f"{what} {value!r} must be 1 to 64 of a-z, 0-9 and '-'")
    return value


def build(client: str, gateway: str, channel: str, argument: str | None = None) -> str:
    """Build a topic; raises MessageError for a name, channel or argument that is not allowed."""
    check_name(client, "client")
    check_name(gateway, "gateway")
    _check_channel(channel, argument)
    return str(Topic(client, gateway, channel, argument))


def parse(topic: str) -> Topic:
    """Parse a topic as received; raises MessageError for anything that is not ours."""
    parts = topic.split("/")
    if "/".join(parts[:2]) != ROOT or len(parts) not in (5, 6):
        raise MessageError(f"not an {ROOT} topic: {topic[:200]!r}")
    client, gateway, channel = parts[2:5]
    argument = parts[5] if len(parts) == 6 else None
    check_name(client, "client")
    check_name(gateway, "gateway")
    _check_channel(channel, argument)
    return Topic(client, gateway, channel, argument)


def subscription(channel: str, client: str = "+", gateway: str = "+") -> str:
    """Filter for one channel of one or all (``+``) clients and gateways."""
    for value, what in ((client, "client"), (gateway, "gateway")):
        if value != "+":
            check_name(value, what)
    tail = "/+" if channel in _WITH_ARGUMENT else ""
    return f"{ROOT}/{client}/{gateway}/{channel}{tail}"


def _check_channel(channel: str, argument: str | None) -> None:
    if channel in _CHANNELS and argument is None:
        return
    if channel in _WITH_ARGUMENT and argument is not None and _DEVICE.match(argument):
        return
    raise MessageError(f"no such channel: {channel!r} with argument {argument!r}")
