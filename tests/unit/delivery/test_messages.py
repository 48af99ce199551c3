"""Alerts for the outbox, and the retained state of each device."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.delivery.messages import Devices, alert_message
from emtc_agent.store import Database, Outbox
from emtc_contract.messages import Alert, Device, decode
from emtc_contract.topics import parse
from samples import ALERT

TOPIC = "emtc/v1/acme/gw-1/alert"


def alert(device="02:00:00:00:00:07", state="new", severity=4, incident=ALERT.id, ts=ALERT.ts, seq=0):
    endpoint = msgspec.structs.replace(ALERT.endpoint, id=device)
    changes = {"state": state, "severity_id": severity, "id": incident, "ts": ts, "seq": seq, "endpoint": endpoint}
    return msgspec.structs.replace(ALERT, **changes)


def test_an_alert_keeps_its_importance_incident_and_lifetime():
    message = alert_message(alert(severity=5), TOPIC, 60.0)
    assert decode(message.payload, Alert) == alert(severity=5)
    assert (message.topic, message.severity, message.lifetime_s) == (TOPIC, 5, 60.0)
    assert (message.incident, message.retain) == (ALERT.id, False)


def test_in_the_outbox_a_later_update_takes_the_place_of_one_that_waits_and_new_stays():
    outbox = Outbox(Database(None))
    other = "01JDQ7W0000000000000000001"
    told = [
        alert(),
        alert(state="update", seq=1),
        alert(incident=other),
        alert(state="update", incident=other, seq=1),
    ]
    told += [alert(state="update", seq=2), alert(state="end", seq=3)]
    outbox.put([alert_message(one, TOPIC, 60.0) for one in told])
    waiting = [decode(one.payload, Alert) for one in outbox.next(99)]
    assert [(one.id[-1], one.state, one.seq) for one in waiting] == [
        ("0", "new", 0),
        ("1", "new", 0),
        ("1", "update", 1),
        ("0", "end", 3),
    ]


def states(told):
    return [(topic.rsplit("/", 1)[1], payload and decode(payload, Device).state) for topic, payload in told]


def test_a_device_is_told_when_its_state_or_incident_changes():
    devices = Devices("acme", "gw-1", "b1")
    assert states(devices.note([alert("d", severity=3)])) == [("d", "suspect")]
    assert devices.note([alert("d", "update", severity=3)]) == []
    assert states(devices.note([alert("d", "update", severity=4)])) == [("d", "anomalous")]
    assert devices.note([alert("d", "update", severity=5)]) == []
    assert states(devices.note([alert("d", "end", severity=4)])) == [("d", "normal")]
    other = "01JDQ7W0000000000000000001"
    assert states(devices.note([alert("d", severity=4, incident=other)])) == [("d", "anomalous")]
    ((_, payload),) = devices.note([alert("d", severity=4, incident=ALERT.id, ts="2026-01-02T00:00:00.000Z")])
    told = decode(payload, Device)
    assert (told.incident, told.since, told.boot) == (ALERT.id, "2026-01-02T00:00:00.000Z", "b1")


def test_a_normal_device_names_no_incident():
    ((_, payload),) = Devices("acme", "gw-1", "b1").note([alert("d", "end")])
    assert decode(payload, Device).incident is None


def test_of_too_many_the_normal_one_that_changed_longest_ago_goes_first():
    devices = Devices("acme", "gw-1", "b1", most=3)
    devices.note([alert("a"), alert("b", "end"), alert("c", "end")])
    devices.note([alert("b", "new"), alert("b", "end")])
    assert states(devices.note([alert("d")])) == [("d", "anomalous"), ("c", None)]
    assert states(devices.note([alert("e")])) == [("e", "anomalous"), ("b", None)]
    assert states(devices.note([alert("f")])) == [("f", "anomalous"), ("a", None)], "nobody is normal: the oldest"
    assert devices.known == ("d", "e", "f")


def test_a_flood_of_devices_takes_off_the_broker_what_it_no_longer_remembers():
    devices, retained = Devices("acme", "gw-1", "b1", most=16), {}
    for number in range(500):
        for topic, payload in devices.note([alert(f"d{number}", "new" if number % 3 else "end")]):
            retained[topic] = payload
    left = {topic for topic, payload in retained.items() if payload is not None}
    assert left == {devices.topic(one) for one in devices.known}
    assert len(left) == 16


@given(st.text(max_size=200))
def test_any_device_has_a_topic_that_is_ours(name):
    topic = parse(Devices("acme", "gw-1", "b1").topic(name))
    assert (topic.client, topic.gateway, topic.channel) == ("acme", "gw-1", "device")


@pytest.mark.parametrize("name", ["02:00:00:00:00:07", "10.0.0.7", "fe80::1", "overflow", "h0123456789abcdef"])
def test_usual_names_stay_as_they_are(name):
    assert Devices("acme", "gw-1", "b1").topic(name) == f"emtc/v1/acme/gw-1/device/{name}"
