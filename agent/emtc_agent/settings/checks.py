"""What a single setting's type and bounds cannot say: values that do not go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emtc_agent.report.broker import BrokerUrl
from emtc_agent.settings.model import Settings
from emtc_agent.windows.networks import DeviceNetworks
from emtc_contract.errors import InputError

_SECRETS = "secrets do not belong here; use user and password_file"
Conflict = tuple[tuple[str, ...], str]


def first_conflict(settings: Settings, *, from_file: bool = True) -> Conflict | None:
    """Where settings contradict each other, and how; None if they do not.

    Args:
        settings: All of them.
        from_file: A file that others may read must not hold secrets.
    """
    found = (conflict for check in _CHECKS for conflict in check(settings))
    return next((one for one in found if from_file or one[1] != _SECRETS), None)


def _capture(settings: Settings) -> Iterator[Conflict]:
    capture = settings.capture
    for name in ("max_endpoints", "peers_per_endpoint"):
        value = getattr(capture, name)
        if value & (value - 1):
            yield ("capture", name), f"{value} is not a power of two"
    if len(set(capture.interfaces)) < len(capture.interfaces):
        yield ("capture", "interfaces"), "an interface is named twice"
    try:
        DeviceNetworks(capture.device_networks)
    except InputError as error:
        yield ("capture", "device_networks"), str(error)


def _broker(settings: Settings) -> Iterator[Conflict]:
    broker = settings.broker
    if (broker.certificate is None) != (broker.private_key is None):
        there = "certificate" if broker.certificate else "private_key"
        yield ("broker", there), "certificate and private_key go together"
    if broker.password_file and not broker.user:
        yield ("broker", "password_file"), "a password needs a user"
    if broker.url is None:
        return
    try:
        url = BrokerUrl.parse(broker.url)
    except InputError as error:
        yield ("broker", "url"), str(error)
        return
    if url.user or url.password:
        yield ("broker", "url"), _SECRETS
    if not (url.tls or url.is_loopback or broker.allow_plain):
        yield ("broker", "url"), "MQTT without TLS to another host; use mqtts:// or set allow_plain"


def _incidents(settings: Settings) -> Iterator[Conflict]:
    incidents = settings.incidents
    if incidents.update_at_most_every_s < incidents.update_every_s:
        yield ("incidents", "update_at_most_every_s"), "is shorter than update_every_s"


_CHECKS: tuple[Callable[[Settings], Iterator[Conflict]], ...] = (_capture, _broker, _incidents)
