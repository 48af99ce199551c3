"""Settings turned into the configuration of each part."""

import logging

import pytest

from emtc_agent.assembling import gateway_name
from emtc_agent.daemon.parts import (
    Place,
    add_rules,
    allow_rules,
    edge_config,
    forget_ended,
    incident_config,
    is_allow_rule,
    link_config,
    ring_config,
)
from emtc_agent.incidents import IncidentConfig
from emtc_agent.incidents.suppression import MAX_RULES, Rule, Suppression
from emtc_agent.settings import Settings, parse_settings
from emtc_agent.sources.ring import RingConfig
from emtc_agent.store import Database, Records
from emtc_contract.errors import InputError


def settings(text=""):
    return parse_settings(text, "x")


def link(text, folder):
    return link_config(settings(text), Place(folder), "b1")


def test_defaults_are_those_of_the_parts():
    usual = Settings()
    assert ring_config(usual.capture) == RingConfig()
    assert incident_config(usual.incidents) == IncidentConfig()
    assert allow_rules(usual.incidents) == []


def test_sizes_of_the_ring_and_the_tables():
    capture = settings(
        "[capture]\nring_mib = 3\nsnaplen = 100\npromiscuous = false\n"
        "max_endpoints = 16\npeers_per_endpoint = 32\ndevice_networks = ['192.0.2.0/24']\n"
    ).capture
    ring = ring_config(capture)
    assert ring.block_bytes * ring.blocks == 3 << 20
    assert (ring.snaplen, ring.promiscuous) == (100, False)
    edge = edge_config(capture)
    assert (edge.max_endpoints, edge.peers_per_endpoint) == (16, 32)
    assert edge.networks != edge_config(Settings().capture).networks


def test_rules_of_incidents():
    text = (
        "[incidents]\nopen_level = 7.5\nupdate_every_s = 2\nupdate_at_most_every_s = 3\nclose_after_s = 4\n"
        "allow = ['10.0.0.1', '02:00:00:00:00:01']\n"
    )
    incidents = settings(text).incidents
    config = incident_config(incidents)
    assert (config.open_level, config.update_every_s, config.update_at_most_every_s, config.close_after_s) == (
        7.5,
        2,
        3,
        4,
    )
    rules = allow_rules(incidents)
    assert [(rule.endpoint, rule.until_us) for rule in rules] == [("10.0.0.1", None), ("02:00:00:00:00:01", None)]
    assert all(map(is_allow_rule, rules))
    assert not is_allow_rule(Rule(id="a1b2", endpoint="10.0.0.1", why="settings"))


def test_without_a_broker_there_is_no_link(tmp_path):
    assert link("", tmp_path) is None


@pytest.mark.parametrize("host", ["broker.example", "10.0.0.2", "[2001:db8::1]"])
def test_plain_text_to_another_host_is_refused_unless_set(tmp_path, host):
    with pytest.raises(InputError, match="MQTT without TLS to another host"):
        link(f"[broker]\nurl = 'mqtt://{host}'\n", tmp_path)
    assert not link(f"[broker]\nurl = 'mqtt://{host}'\nallow_plain = true\n", tmp_path).url.tls
    assert link(f"[broker]\nurl = 'mqtts://{host}'\n", tmp_path).url.tls


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_plain_text_on_this_host_is_fine(tmp_path, host):
    assert not link(f"[broker]\nurl = 'mqtt://{host}'\n", tmp_path).url.tls


def test_the_link_is_as_set(tmp_path):
    text = """
[gateway]
client = "acme"
name = "gw-1"
[broker]
url = "mqtts://broker:1234"
user = "u"
ca_file = "ca.crt"
certificate = "/abs/client.crt"
private_key = "client.key"
password_file = "word"
keepalive_s = 30
retry_at_most_every_s = 7.0
home_assistant = true
[outbox]
messages_per_s = 3.0
spread_s = 9.0
"""
    config = link(text, tmp_path)
    assert (config.client, config.gateway, config.boot, config.url.port) == ("acme", "gw-1", "b1", 1234)
    assert (config.keepalive_s, config.retry_at_most_every_s) == (30, 7.0)
    assert (config.messages_per_s, config.spread_s) == (3.0, 9.0)
    assert config.further == ("homeassistant/status",)
    held = config.credentials
    assert (held.ca_file, held.private_key) == (tmp_path / "ca.crt", tmp_path / "client.key")
    assert str(held.certificate) == "/abs/client.crt"
    assert (held.user, held.password_file) == ("u", tmp_path / "word")


def test_a_gateway_without_a_name_has_the_hosts(tmp_path):
    config = link("[broker]\nurl = 'mqtt://127.0.0.1'\nuser = 'me'\n", tmp_path)
    assert (config.client, config.gateway) == ("local", gateway_name())
    assert config.credentials.user == "me"
    assert config.further == ()
    assert config.credentials.ca_file is None


def test_files_handed_over_by_systemd_come_first(tmp_path, monkeypatch):
    handed = tmp_path / "handed"
    handed.mkdir()
    (handed / "mqtt_client.key").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    place = Place(tmp_path)
    assert place.find("mqtt_client.key") == handed / "mqtt_client.key"
    assert place.find("ca.crt") == tmp_path / "ca.crt"
    assert place.find_any(None) is None


def test_an_allowlist_that_is_too_long_is_cut_and_said(caplog):
    suppression = Suppression()
    with caplog.at_level(logging.ERROR):
        add_rules(suppression, [Rule(id=f"allow {one}", endpoint="x") for one in range(MAX_RULES + 2)])
    assert len(suppression.rules) == MAX_RULES
    assert caplog.text.count("not in force") == 2


def test_what_ended_is_forgotten_on_disk(tmp_path):
    records, suppression = Records(Database(tmp_path / "state.db")), Suppression()
    for number in range(3):
        rule = Rule(id=f"r{number}", endpoint="x", until_us=number * 10)
        suppression.add(rule)
        records.keep_rule(rule)
    suppression.expire(5)  # as an incident does in passing
    forget_ended(suppression, records, 10)
    assert [rule.id for rule in records.rules()] == ["r2"] == [rule.id for rule in suppression.rules]
