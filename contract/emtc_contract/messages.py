"""MQTT payloads: status, info, health, alert, device and digest (see docs/messages.md; JSON Schema in docs/schemas/).

All times are RFC 3339 UTC strings. Unknown fields are ignored by readers, so fields can be added.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

from emtc_contract.errors import MessageError

ALERT_SCHEMA = "emtc-alert/1"
MAX_PAYLOAD_BYTES = 256 * 1024

Severity = Annotated[int, msgspec.Meta(ge=1, le=5, description="1 informational to 5 critical (OCSF scale)")]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Availability of a gateway: retained birth, will and goodbye."""

    state: Literal["online", "stopped", "lost"]
    boot: str
    ts: str | None = None


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What runs on a gateway (retained)."""

    agent: str
    bundle: str
    bundle_version: int
    bundle_sha8: str
    schema: str
    schema_digest: str
    runtime: str
    interfaces: tuple[str, ...]
    boot: str
    settings_digest: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a gateway is doing (retained, expires)."""

    ts: str
    boot: str
    packets: int
    malformed: int
    dropped: int
    endpoints: int
    windows: int
    scored: int
    incidents_open: int
    rss_bytes: int
    uptime_s: float = 0.0
    cpu_s: float = 0.0
    freezes: int = 0
    time_jumps: int = 0
    clock_steps: int = 0
    queued: int = 0
    queued_bytes: int = 0
    lost_messages: int = 0
    refused_messages: int = 0
    overrun_requests: int = 0
    connections: int = 0
    month_bytes: int = 0
    level: Literal["everything", "digests", "critical"] = "everything"
    store_damaged: int = 0
    store_detached: bool = False
    interfaces_missing: tuple[str, ...] = ()
    learning: str = ""
    drift: str = ""
    update: str = ""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The device an alert is about."""

    id: str
    kind: Literal["mac", "ip", "teid", "overflow", "capture"]
    ip: str | None = None
    mac: str | None = None
    teid: str | None = None


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One feature that made the score high, with what is usual for it."""

    feature: str
    value: float
    usual_low: float
    usual_high: float
    share: Share


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A remote address an incident involves, and in how many of its windows it led."""

    ip: str
    windows: int


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A guess at the family of attack."""

    name: str
    confidence: Share


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """The flow that dominates an incident, in Suricata EVE names."""

    src_ip: str
    src_port: int
    dest_ip: str
    dest_port: int
    proto: str
    community_id: str | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The model that scored."""

    name: str
    version: int
    sha8: str
    runtime: str


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An incident opens (``new``), goes on (``update``) or closes (``end``)."""

    schema: str
    id: str
    seq: int
    boot: str
    state: Literal["new", "update", "end"]
    ts: str
    first_seen: str
    last_seen: str
    windows: int
    severity_id: Severity
    score: float
    threshold: float
    p_value: float
    family: Family
    endpoint: Endpoint
    reasons: tuple[Reason, ...]
    peers: tuple[Peer, ...]
    ports: tuple[int, ...]
    model: Model
    text: str
    flow: Flow | None = None


class Device(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a device behaves now (retained, on change)."""

    id: str
    state: Literal["normal", "suspect", "anomalous"]
    since: str
    boot: str
    incident: str | None = None


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """Incidents in numbers, when the link's budget runs out and they are not told one by one."""

    ts: str
    boot: str
    since: str
    opened: int
    ended: int
    by_severity: dict[str, int]
    by_family: dict[str, int]
    waiting: int


Message = Status | Info | Health | Alert | Device | Digest
_M = TypeVar("_M", Status, Info, Health, Alert, Device, Digest)
BY_CHANNEL: dict[str, type[Message]] = {
    "status": Status,
    "info": Info,
    "health": Health,
    "alert": Alert,
    "device": Device,
    "digest": Digest,
}


def encode(message: Message) -> bytes:
    """JSON of a message."""
    return msgspec.json.encode(message)


def decode(payload: bytes, kind: type[_M]) -> _M:
    """Parse a received payload; raises MessageError for anything else than a valid ``kind``."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MessageError(f"{kind.__name__}: payload of {len(payload)} bytes is too large")
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"{kind.__name__}: {error}") from None


def json_schemas() -> dict[str, dict[str, object]]:
    """JSON Schema (2020-12) of each message, by channel."""
    schemas: dict[str, dict[str, object]] = {}
    for channel, kind in BY_CHANNEL.items():
        schema = msgspec.json.schema(kind)
        schemas[channel] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return schemas
