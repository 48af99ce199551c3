"""What becomes of alerts: kept with their incident, queued, told to people, devices retained."""

import json

import msgspec
import pytest

from emtc_agent.daemon.reporting import Reporting
from emtc_agent.delivery import Link, LinkConfig
from emtc_agent.delivery.privacy import AddressHider
from emtc_agent.delivery.traffic import Level, Traffic
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.store import Database, Outbox, Records
from emtc_contract.messages import Alert, Device, Digest, decode
from engines import Site

TOP = "emtc/v1/acme/gw-1"


class Told(list):
    def publish(self, alert):
        self.append(alert)


class Gateway(Site):
    """An engine that reports into an outbox that nobody drains; the link is not started."""

    def __init__(self, **how):
        super().__init__()
        self.database = Database(None)
        self.outbox = Outbox(self.database)
        self.people = Told()
        self.reporting = Reporting("acme", "gw-1", "b1", self.outbox, 3_600.0, (self.people,), **how)

    def attach(self):
        config = LinkConfig(BrokerUrl.parse("mqtt://127.0.0.1"), "acme", "gw-1", "b1")
        self.reporting.attach(Link(config, self.outbox, Traffic(self.database)))
        return self.reporting.link

    def publish(self, alerts):
        self.reporting.publish(alerts, self.engine.pipeline.tracker)
        return alerts

    @property
    def queued(self):
        return [one for one in self.outbox.next(1_000) if not self.outbox.release([one.number])]

    def kept(self):
        return {record.id: record for record in Records(self.database).incidents()}

    def retained(self):
        return self.reporting.link.retained.payloads()


@pytest.fixture
def gateway():
    one = Gateway()
    one.attach()
    return one


def test_an_alert_is_queued_kept_and_told_at_once(gateway):
    alerts = gateway.publish(gateway.scans(1))
    (message, *_) = gateway.queued
    assert (message.topic, decode(message.payload, Alert)) == (f"{TOP}/alert", alerts[0])
    assert message.expires_in_s == pytest.approx(3_600, abs=5)
    assert gateway.people == alerts
    record = gateway.kept()[alerts[0].id]
    assert (record.seq, record.windows) == (len(alerts), gateway.engine.pipeline.tracker.find(alerts[0].id).windows)
    device = decode(gateway.retained()[f"{TOP}/device/{alerts[0].endpoint.id}"], Device)
    assert device.incident == alerts[0].id


def test_an_incident_that_ended_is_forgotten_and_its_device_normal(gateway):
    (new, *_) = gateway.publish(gateway.scans(1))
    gateway.publish(gateway.scans(2))
    gateway.publish(gateway.engine.pipeline.finish()[:1])
    assert new.id not in gateway.kept()
    assert len(gateway.kept()) == 1
    assert decode(gateway.retained()[f"{TOP}/device/{new.endpoint.id}"], Device).state == "normal"


def test_without_a_broker_incidents_are_kept_and_nothing_is_queued():
    gateway = Gateway(sending=False)
    gateway.reporting.attach(None)
    alerts = gateway.publish(gateway.scans(1))
    assert gateway.queued == []
    assert set(gateway.kept()) == {alerts[0].id}
    assert gateway.people == alerts
    gateway.reporting.tick(Level.DIGESTS)


def test_with_a_hider_no_address_leaves_but_people_here_see_them():
    hider = AddressHider(b"k" * 32)
    gateway = Gateway(hider=hider, home_assistant=True)
    gateway.attach()
    alerts = gateway.publish(gateway.scans(1))
    sent = b" ".join([one.payload for one in gateway.queued] + list(gateway.retained().values()))
    sent += " ".join(gateway.retained()).encode()
    for address in (alerts[0].endpoint.id, alerts[0].endpoint.ip, "203.0.113.9"):
        assert address.encode() not in sent
        assert hider.hidden(address).encode() in sent
    assert gateway.people[0].endpoint.ip == "10.1.0.1"
    assert gateway.kept()[alerts[0].id].endpoint.ip == "10.1.0.1", "a restart has to find its device"


def test_home_assistant_is_told_of_new_devices_only():
    gateway = Gateway(home_assistant=True)
    link = gateway.attach()
    topic = "homeassistant/device/emtc-acme-gw-1/config"
    assert len(json.loads(gateway.retained()[topic])["components"]) == 1
    new = gateway.publish(gateway.scans(1)) + gateway.publish(gateway.scans(2))
    told = gateway.retained()[topic]
    assert len(json.loads(told)["components"]) == 3
    while link.retained.take(minor=True):
        pass
    worse = msgspec.structs.replace(new[0], state="end")
    gateway.publish([worse])
    assert link.retained.untold(minor=True) == [f"{TOP}/device/{new[0].endpoint.id}"], (
        "a state is no news of a device"
    )
    assert gateway.retained()[topic] == told
    gateway.reporting.announce_again()
    assert set(link.retained.untold(minor=True)) == set(gateway.retained())


def test_home_assistant_is_not_told_of_anything_unasked(gateway):
    gateway.publish(gateway.scans(1))
    gateway.reporting.announce_again()
    assert not [topic for topic in gateway.retained() if topic.startswith("homeassistant")]


def test_another_link_is_told_all_that_is_announced():
    gateway = Gateway(home_assistant=True)
    gateway.attach()
    gateway.publish(gateway.scans(1))
    gateway.attach()
    assert len(json.loads(gateway.retained()["homeassistant/device/emtc-acme-gw-1/config"])["components"]) == 2


def test_a_digest_is_queued_where_alerts_are_held_back(gateway, monkeypatch):
    gateway.publish(gateway.scans(1))
    began_s = gateway.reporting._digest._since_s
    for hours, level, digests in ((0.9, Level.DIGESTS, 0), (1.1, Level.DIGESTS, 1), (2.2, Level.DIGESTS, 1)):
        monkeypatch.setattr("emtc_agent.daemon.reporting.time.monotonic", lambda h=hours: began_s + h * 3_600)
        gateway.reporting.tick(level)
        found = [one for one in gateway.queued if one.topic == f"{TOP}/digest"]
        assert len(found) == digests, hours
    assert decode(found[0].payload, Digest).opened == 1
    assert found[0].severity == Level.CRITICAL, "it goes whatever is left of the budget"


def test_no_digest_where_each_alert_is_told(gateway, monkeypatch):
    gateway.publish(gateway.scans(1))
    began_s = gateway.reporting._digest._since_s
    monkeypatch.setattr("emtc_agent.daemon.reporting.time.monotonic", lambda: began_s + 4_000)
    gateway.reporting.tick(Level.EVERYTHING)
    assert {one.topic for one in gateway.queued} == {f"{TOP}/alert"}
