"""The gateway as a device of Home Assistant."""

import json

import pytest

from emtc_agent.delivery.home_assistant import discovery
from emtc_contract.messages import Device, Status, encode


def told(devices=()):
    topic, payload = discovery("acme", "gw-1", "1.2", devices)
    return topic, json.loads(payload)


DEVICES = [("02:00:00:00:00:07", "emtc/v1/acme/gw-1/device/02:00:00:00:00:07"), ("10.0.0.7", "emtc/v1/acme/x")]


def test_it_is_announced_where_home_assistant_looks():
    topic, payload = told()
    assert topic == "homeassistant/device/emtc-acme-gw-1/config"
    assert payload["device"] == {"identifiers": ["emtc-acme-gw-1"], "name": "emtc-guard gw-1", "sw_version": "1.2"}
    assert payload["origin"]["name"] == "emtc-guard"
    assert payload["availability"][0]["topic"] == "emtc/v1/acme/gw-1/status"
    assert list(payload["components"]) == ["emtc-acme-gw-1-online"]


def test_each_device_is_a_problem_sensor_of_its_topic():
    components = told(DEVICES)[1]["components"]
    assert len(components) == 3
    assert [one["unique_id"] for one in components.values()] == list(components)
    mac = components["emtc-acme-gw-1-02_00_00_00_00_07"]
    assert mac["state_topic"] == mac["json_attributes_topic"] == DEVICES[0][1]
    assert (mac["platform"], mac["device_class"], mac["name"]) == ("binary_sensor", "problem", DEVICES[0][0])


def test_the_sensor_of_the_connection_stays_available_when_the_gateway_is_lost():
    online = told()[1]["components"]["emtc-acme-gw-1-online"]
    assert online["availability"] == []
    assert online["state_topic"] == "emtc/v1/acme/gw-1/status"


@pytest.mark.parametrize(
    ("template", "message", "shown"),
    [
        ("device", Device(id="d", state="normal", since="", boot=""), "OFF"),
        ("device", Device(id="d", state="suspect", since="", boot=""), "ON"),
        ("device", Device(id="d", state="anomalous", since="", boot=""), "ON"),
        ("online", Status(state="online", boot=""), "ON"),
        ("online", Status(state="lost", boot=""), "OFF"),
        ("available", Status(state="online", boot=""), "online"),
        ("available", Status(state="stopped", boot=""), "offline"),
    ],
)
def test_templates_fit_our_messages(template, message, shown):
    """They are all of one form, ``{{ 'A' if value_json.FIELD == 'B' else 'C' }}``, which is Python but for that."""
    payload = told([("d", "t")])[1]
    text = {
        "device": payload["components"]["emtc-acme-gw-1-d"]["value_template"],
        "online": payload["components"]["emtc-acme-gw-1-online"]["value_template"],
        "available": payload["availability"][0]["value_template"],
    }[template]
    value = type("Value", (), json.loads(encode(message)))
    assert eval(text.strip("{} "), {"value_json": value}) == shown


def test_the_announcement_is_bounded():
    _, payload = discovery("acme", "gw-1", "1.2", [(f"d{one}", f"t{one}") for one in range(2_048)])
    assert len(json.loads(payload)["components"]) == 257
    assert len(payload) < 256 * 1024
