"""Settings turned into the configuration of each part."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from emtc_agent.assembling import gateway_name
from emtc_agent.delivery import LinkConfig
from emtc_agent.delivery.home_assistant import STATUS_TOPIC
from emtc_agent.features import EdgeConfig
from emtc_agent.incidents import IncidentConfig
from emtc_agent.incidents.suppression import Rule, Suppression
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.report.credentials import Credentials, look_up
from emtc_agent.settings import Settings
from emtc_agent.settings.model import Broker, Capture, Incidents
from emtc_agent.sources.ring import RingConfig
from emtc_agent.store import Records
from emtc_agent.windows.networks import PRIVATE, DeviceNetworks
from emtc_contract.errors import InputError

_LOG = logging.getLogger(__name__)
_ALLOW = "allow "


@dataclass(frozen=True, slots=True)
class Place:
    """Where files named in the settings are.

    Attributes:
        beside: Folder of the settings file.
    """

    beside: Path

    def find(self, name: str) -> Path:
        """A file that may be handed over by systemd."""
        return look_up(name, self.beside)

    def find_any(self, name: str | None) -> Path | None:
        """The same, for a setting that may be missing."""
        return None if name is None else self.find(name)


def ring_config(capture: Capture) -> RingConfig:
    """Of each interface."""
    usual = RingConfig()
    blocks = max((capture.ring_mib << 20) // usual.block_bytes, 1)
    return RingConfig(blocks=blocks, snaplen=capture.snaplen, promiscuous=capture.promiscuous)


def edge_config(capture: Capture) -> EdgeConfig:
    """Of the extractor."""
    return EdgeConfig(
        max_endpoints=capture.max_endpoints,
        peers_per_endpoint=capture.peers_per_endpoint,
        networks=DeviceNetworks(capture.device_networks or PRIVATE),
    )


def incident_config(incidents: Incidents) -> IncidentConfig:
    """Of the tracker."""
    return IncidentConfig(
        open_level=incidents.open_level,
        update_every_s=incidents.update_every_s,
        update_at_most_every_s=incidents.update_at_most_every_s,
        close_after_s=incidents.close_after_s,
    )


def allow_rules(incidents: Incidents) -> list[Rule]:
    """The allowlist, as rules without an end."""
    return [Rule(id=f"{_ALLOW}{one}", endpoint=one, why="settings") for one in incidents.allow]


def is_allow_rule(rule: Rule) -> bool:
    """Whether a rule is of the allowlist; operators may give any reason, but no id."""
    return rule.id.startswith(_ALLOW)


def add_rules(suppression: Suppression, rules: Iterable[Rule]) -> None:
    """Put rules in force as far as there is room: an incident too many is told rather than none at all."""
    for rule in rules:
        try:
            suppression.add(rule)
        except InputError as error:
            _LOG.error("not in force: %s", error)


def forget_ended(suppression: Suppression, records: Records, now_us: int) -> None:
    """Forget on disk, too, what has ended: it would take the room of later rules after a restart."""
    suppression.expire(now_us)
    in_force = {rule.id for rule in suppression.rules}
    try:
        ended = [rule.id for rule in records.rules() if rule.id not in in_force]
    except sqlite3.Error as error:
        _LOG.warning("rules: cannot be tidied now: %s", error)
        return
    for rule_id in ended:
        records.forget_rule(rule_id)


def link_config(settings: Settings, place: Place, boot: str) -> LinkConfig | None:
    """Of the link; None without a broker."""
    broker, outbox = settings.broker, settings.outbox
    if broker.url is None:
        return None
    url = BrokerUrl.parse(broker.url)
    if not (url.tls or url.is_loopback or broker.allow_plain):
        raise InputError(f"{url}: MQTT without TLS to another host; use mqtts:// or set allow_plain")
    return LinkConfig(
        url=url,
        client=settings.gateway.client,
        gateway=settings.gateway.name or gateway_name(),
        boot=boot,
        credentials=credentials(broker, url, place),
        keepalive_s=broker.keepalive_s,
        retry_at_most_every_s=broker.retry_at_most_every_s,
        messages_per_s=outbox.messages_per_s,
        spread_s=outbox.spread_s,
        further=(STATUS_TOPIC,) if broker.home_assistant else (),
    )


def credentials(broker: Broker, url: BrokerUrl, place: Place) -> Credentials:
    """Files for the connection."""
    return Credentials(
        ca_file=place.find_any(broker.ca_file),
        certificate=place.find_any(broker.certificate),
        private_key=place.find_any(broker.private_key),
        user=broker.user or url.user,
        secret=url.password,
        password_file=place.find_any(broker.password_file),
    )
