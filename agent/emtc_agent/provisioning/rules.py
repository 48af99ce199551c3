"""Who may read and write which topics: mosquitto's ACL file for a whole fleet.

Everybody is named by the subject of the certificate (``use_subject_as_username``). Nobody without an entry may do
anything, so taking a gateway out of the fleet list takes its rights. See mosquitto.conf(5), ``acl_file``.
"""

from __future__ import annotations

from collections.abc import Iterator

from emtc_agent.provisioning.fleet import Fleet, Gateway, Operator
from emtc_contract.topics import subscription

_GATEWAY_WRITES = ("status", "info", "health", "alert", "digest", "device", "reply")
_GATEWAY_READS = ("cmd", "model", "chunk")
_DISCOVERY = "homeassistant/device"
_BIRTH = "homeassistant/status"


def gateway_subject(gateway: Gateway) -> dict[str, str]:
    """Subject of a gateway's certificate."""
    return {"O": gateway.client, "CN": gateway.name}


def operator_subject(operator: Operator) -> dict[str, str]:
    """Subject of an operator's certificate; its unit keeps it apart from a gateway of the same names."""
    client = {} if operator.client is None else {"O": operator.client}
    return {**client, "OU": "operator", "CN": operator.name}


def username(subject: dict[str, str]) -> str:
    """What the broker calls the owner of a certificate: the subject as in RFC 2253, last part first."""
    return ",".join(f"{key}={value}" for key, value in reversed(subject.items()))


def render_rules(fleet: Fleet) -> str:
    """The ACL file."""
    lines = ["# Made by emtc-agent provision; a change of the fleet list replaces it. Nobody else may do anything."]
    for gateway in fleet.gateway:
        lines += ["", f"user {username(gateway_subject(gateway))}"]
        lines += _gateway_rules(gateway, home_assistant=fleet.broker.home_assistant)
    for operator in fleet.operator:
        lines += ["", f"user {username(operator_subject(operator))}", *_operator_rules(operator)]
    return "\n".join(lines) + "\n"


def _gateway_rules(gateway: Gateway, *, home_assistant: bool) -> Iterator[str]:
    for channel in _GATEWAY_WRITES:
        yield f"topic write {subscription(channel, gateway.client, gateway.name)}"
    for channel in _GATEWAY_READS:
        yield f"topic read {subscription(channel, gateway.client, gateway.name)}"
    if home_assistant:
        yield f"topic write {_DISCOVERY}/emtc-{gateway.client}-{gateway.name}/config"
        yield f"topic read {_BIRTH}"


def _operator_rules(operator: Operator) -> Iterator[str]:
    client = operator.client or "+"
    if operator.role == "home-assistant":
        yield from (f"topic read {subscription(channel, client)}" for channel in ("status", "device"))
        yield f"topic read {_DISCOVERY}/+/config"
        yield f"topic write {_BIRTH}"
        return
    yield from (f"topic read {subscription(channel, client)}" for channel in (*_GATEWAY_WRITES, *_GATEWAY_READS))
    if operator.role == "operator":
        yield from (f"topic write {subscription(channel, client)}" for channel in _GATEWAY_READS)
