"""Everything that can be set in ``gateway.toml``, with its default, bounds and meaning: the one place for all of it.

Defaults that belong to a part (the tracker's, the ring's) come from that part's own configuration.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from emtc_agent.features import EdgeConfig
from emtc_agent.incidents import IncidentConfig
from emtc_agent.sources.ring import RingConfig

VERSION = 1
_RING, _EDGE, _INCIDENTS = RingConfig(), EdgeConfig(), IncidentConfig()

Name = Annotated[str, Meta(pattern="^[a-z0-9-]{1,64}(?![\\s\\S])")]
Text = Annotated[str, Meta(min_length=1, max_length=1_024)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Gateway(Section, frozen=True):
    """Who this gateway is, in MQTT topics."""

    client: Annotated[Name, Meta(description="Whose gateway it is.")] = "local"
    name: Annotated[Name | None, Meta(description="Its name; this host's if not set.")] = None


class Capture(Section, frozen=True):
    """Which packets are looked at."""

    interfaces: Annotated[
        tuple[Annotated[str, Meta(pattern="^[^/\\s]{1,15}(?![\\s\\S])")], ...],
        Meta(max_length=16, description="Where to listen: Ethernet, or raw IP as modems and TUN have it."),
    ] = ()
    snaplen: Annotated[int, Meta(ge=64, le=1_024, description="Bytes looked at of each packet; none is kept.")] = (
        _RING.snaplen
    )
    ring_mib: Annotated[int, Meta(ge=1, le=256, description="Memory the kernel fills per interface.")] = (
        _RING.block_bytes * _RING.blocks >> 20
    )
    promiscuous: Annotated[bool, Meta(description="Also packets that are not for this host.")] = True
    device_networks: Annotated[
        tuple[Text, ...], Meta(max_length=64, description="Where devices live; the private ranges if empty.")
    ] = ()
    max_endpoints: Annotated[int, Meta(ge=8, le=32_768, description="Devices followed at once; a power of two.")] = (
        _EDGE.max_endpoints
    )
    peers_per_endpoint: Annotated[
        int, Meta(ge=8, le=1_024, description="Remotes remembered per device; a power of two.")
    ] = _EDGE.peers_per_endpoint


class ModelChoice(Section, frozen=True):
    """What scores."""

    bundle: Annotated[Text | None, Meta(description="Model bundle; the shipped one if not set.")] = None
    keys: Annotated[
        tuple[Text, ...], Meta(max_length=8, description="minisign public keys, one of which has to have signed it.")
    ] = ()
    runtime: Annotated[
        Literal["litert", "onnxruntime", "tflite-runtime"] | None,
        Meta(description="What runs the model; the first installed one if not set."),
    ] = None
    precision: Annotated[
        Literal["fp32", "int8"] | None, Meta(description="Which model of the bundle; fp32 if there is one.")
    ] = None
    threads: Annotated[int, Meta(ge=1, le=64, description="That score.")] = 1


class Incidents(Section, frozen=True):
    """When incidents open, are told again, and close."""

    open_level: Annotated[
        Annotated[float, Meta(gt=0, le=1_000)] | None,
        Meta(description="Evidence that opens an incident; the bundle's if not set."),
    ] = None
    update_every_s: Annotated[
        float,
        Meta(ge=1, le=86_400, description="Least time to the first update; the next waits twice as long."),
    ] = _INCIDENTS.update_every_s
    update_at_most_every_s: Annotated[float, Meta(ge=1, le=604_800, description="Longest wait between updates.")] = (
        _INCIDENTS.update_at_most_every_s
    )
    close_after_s: Annotated[float, Meta(ge=1, le=86_400, description="Quiet time after which an incident ends.")] = (
        _INCIDENTS.close_after_s
    )
    allow: Annotated[
        tuple[Text, ...],
        Meta(max_length=256, description="Devices (address or MAC) whose incidents are not told."),
    ] = ()


class Broker(Section, frozen=True):
    """Where reports go, and how."""

    url: Annotated[Text | None, Meta(description="mqtts://host[:port], or mqtt:// on this machine.")] = None
    ca_file: Annotated[Text | None, Meta(description="Certificate authorities; the system's if not set.")] = None
    certificate: Annotated[Text | None, Meta(description="This gateway's certificate (PEM).")] = None
    private_key: Annotated[Text | None, Meta(description="Its private key (PEM).")] = None
    user: Annotated[Text | None, Meta(description="User name, if the broker wants one.")] = None
    password_file: Annotated[Text | None, Meta(description="File whose first line is the password.")] = None
    allow_plain: Annotated[bool, Meta(description="Allow MQTT without TLS to another host.")] = False
    keepalive_s: Annotated[
        int, Meta(ge=10, le=65_535, description="Signs of life; at 60 s they alone are 10 MB a month.")
    ] = 900
    retry_at_most_every_s: Annotated[
        float, Meta(ge=1, le=86_400, description="Longest pause between two attempts to connect.")
    ] = 300.0
    home_assistant: Annotated[bool, Meta(description="Announce devices to Home Assistant.")] = False
    hash_addresses: Annotated[
        bool, Meta(description="Tell addresses only as keyed hashes; the key stays in the state folder.")
    ] = False


class Outbox(Section, frozen=True):
    """What waits for the link."""

    max_mib: Annotated[int, Meta(ge=1, le=1_024, description="Most that waits; the least important goes first.")] = 8
    messages_per_s: Annotated[float, Meta(gt=0, le=10_000, description="Rate of sending after the first 50.")] = 20.0
    spread_s: Annotated[
        float, Meta(ge=0, le=3_600, description="After a loss, wait up to so long before what waited is sent.")
    ] = 5.0
    alert_expiry_days: Annotated[float, Meta(gt=0, le=365, description="Older alerts are not sent any more.")] = 7.0
    monthly_mib: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Traffic of the link in 30 days; as it runs out, less is sent."),
    ] = None


class Health(Section, frozen=True):
    """How the agent tells how it is."""

    every_s: Annotated[float, Meta(ge=5, le=86_400, description="Between two health messages.")] = 900.0
    metrics_file: Annotated[Text | None, Meta(description="Prometheus text file, rewritten every 15 s.")] = None


class Learning(Section, frozen=True):
    """Learning on site."""

    reservoir_windows: Annotated[int, Meta(ge=512, le=65_536, description="Windows that a learning run keeps.")] = (
        8_192
    )


class Updates(Section, frozen=True):
    """Model updates over MQTT; only with keys in [model]."""

    enabled: Annotated[bool, Meta(description="Take announced models.")] = True
    trial_s: Annotated[float, Meta(ge=1, le=604_800, description="How long a new model is on trial.")] = 3_600.0


class State(Section, frozen=True):
    """What has to outlive a restart."""

    folder: Annotated[
        Text | None, Meta(description="Outbox, open incidents, learned thresholds, models; in memory if not set.")
    ] = None


class Settings(Section, frozen=True):
    """``gateway.toml``."""

    version: Annotated[int, Meta(ge=1, le=VERSION, description="Of this file's layout.")] = VERSION
    gateway: Gateway = Gateway()
    capture: Capture = Capture()
    model: ModelChoice = ModelChoice()
    incidents: Incidents = Incidents()
    broker: Broker = Broker()
    outbox: Outbox = Outbox()
    health: Health = Health()
    learning: Learning = Learning()
    updates: Updates = Updates()
    state: State = State()
