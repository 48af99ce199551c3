"""The daemon's link over real brokers: nothing lost, nothing blocked, whatever the broker does."""

import contextlib
import json
import os
import queue
import random
import socket
import threading
import time
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import brokers
from certificates import Authority
from emtc_agent.delivery import Link, LinkConfig, Request
from emtc_agent.delivery.messages import alert_message
from emtc_agent.delivery.traffic import Level, Traffic
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.report.credentials import Credentials
from emtc_agent.store import Database, Outbox
from emtc_contract.messages import Alert, Status, decode
from samples import ALERT

TIMEOUT_S = 20
TOP = "emtc/v1/acme/gw-1"
pytestmark = pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed")


def alert(incident, seq=0, state="new", severity=4):
    return msgspec.structs.replace(ALERT, id=f"{incident:026d}", seq=seq, state=state, severity_id=severity)


class Gateway:
    """Outbox and link of one gateway."""

    def __init__(self, url, file=None, *, monthly_bytes=None, **options):
        self.database = Database(file)
        self.outbox = Outbox(self.database)
        self.traffic = Traffic(self.database, monthly_bytes)
        fast = {"spread_s": 0.0, "retry_at_most_every_s": 0.2, "messages_per_s": 10_000, "burst": 10_000}
        config = LinkConfig(BrokerUrl.parse(url), "acme", "gw-1", "b1", **{**fast, **options})
        self.link = Link(config, self.outbox, self.traffic, rng=random.Random(1))

    def put(self, *alerts):
        self.outbox.put([alert_message(one, f"{TOP}/alert", 86_400) for one in alerts])
        self.link.nudge()

    def __enter__(self):
        self.link.start()
        return self

    def __exit__(self, *_):
        self.link.stop()
        self.database.close()


class Listener:
    """A subscriber that comes back when the broker does."""

    def __init__(self, url, topic="emtc/#"):
        self.got = queue.Queue()
        self.subscribed = threading.Event()
        url = BrokerUrl.parse(url)
        self.client = paho.Client(CallbackAPIVersion.VERSION2, "listener", protocol=MQTTProtocolVersion.MQTTv5)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = lambda _c, _u, message: self.got.put(message)
        lasting = Properties(PacketTypes.CONNECT)
        lasting.SessionExpiryInterval = 3_600
        self.client.connect(url.host, url.port, clean_start=False, properties=lasting)
        self.client.loop_start()
        assert self.subscribed.wait(TIMEOUT_S)

    def next(self, kind):
        """The next message of a channel."""
        while True:
            message = self.got.get(timeout=TIMEOUT_S)
            if message.topic.startswith(f"{TOP}/{kind}"):
                return message

    def statuses(self, number):
        return [decode(self.next("status").payload, Status).state for _ in range(number)]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.contextmanager
def listening(url, topic="emtc/#"):
    listener = Listener(url, topic)
    try:
        yield listener
    finally:
        listener.close()


@pytest.fixture
def url(tmp_path):
    with brokers.mosquitto(tmp_path) as text:
        yield text


def until(condition):
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.01)


def test_birth_alerts_and_goodbye(url):
    with listening(url) as listener, Gateway(url) as gateway:
        assert listener.statuses(1) == ["online"]
        gateway.put(alert(1), alert(2))
        assert [decode(listener.next("alert").payload, Alert).id[-1] for _ in range(2)] == ["1", "2"]
        until(lambda: not len(gateway.outbox))
        gateway.link.stop()
        assert listener.statuses(1) == ["stopped"]


def test_what_was_put_before_there_was_a_broker_arrives(tmp_path):
    port = brokers.free_port()
    with Gateway(f"mqtt://127.0.0.1:{port}", tmp_path / "state.db") as gateway:
        until(lambda: "Connection refused" in gateway.link.reason)
        gateway.put(*(alert(n) for n in range(50)))
        with brokers.mosquitto(tmp_path, port=port) as url, listening(url) as listener:
            # May be there before the listener: a lasting session is what a real subscriber has.
            gateway.put(alert(99))
            seen = set()
            while "99" not in seen:
                seen.add(decode(listener.next("alert").payload, Alert).id[-2:])
            until(lambda: not len(gateway.outbox))


def test_a_broker_that_dies_and_comes_back_costs_nothing(tmp_path):
    port = brokers.free_port()
    persistent = ("persistence true", f"persistence_location {tmp_path}/", "max_queued_messages 0")
    got, listener = {}, None
    with Gateway(f"mqtt://127.0.0.1:{port}", tmp_path / "state.db") as gateway:
        for life in range(3):
            with brokers.mosquitto(tmp_path, *persistent, port=port) as url:
                listener = listener or Listener(url, f"{TOP}/alert")
                gateway.put(
                    *(alert(100 * life + n, seq, "new" if seq == 0 else "end") for n in range(50) for seq in (0, 1))
                )
                until(lambda: gateway.link.connected)
            gateway.put(*(alert(100 * life + 50 + n) for n in range(20)))
        with brokers.mosquitto(tmp_path, *persistent, port=port):
            until(lambda: not len(gateway.outbox))
            while len(got) < 3 * 120:
                told = decode(listener.next("alert").payload, Alert)
                got.setdefault((told.id, told.seq), len(got))
    listener.close()
    for life in range(3):
        for n in range(50):
            incident = f"{100 * life + n:026d}"
            assert got[incident, 0] < got[incident, 1]


def test_retained_messages_are_told_again_after_each_connection(url):
    with listening(url) as listener, Gateway(url) as gateway:
        gateway.link.retain(f"{TOP}/info", b'{"a":1}')
        assert listener.next("info").payload == b'{"a":1}'
        gateway.link.retain(f"{TOP}/info", b'{"a":1}')  # no news
        gateway.link.retain(f"{TOP}/device/x", b"{}")
        assert listener.next("device").payload == b"{}"
        connections = gateway.link.connections
        cut(gateway.link)
        assert {listener.next("info").payload, listener.next("device").payload} == {b'{"a":1}', b"{}"}
        assert gateway.link.connections == connections + 1
        gateway.link.retain(f"{TOP}/device/x", None)
        assert listener.next("device").payload == b""
    with listening(url, f"{TOP}/device/#") as late:
        assert late.got.empty()


def cut(link):
    """Break its connection, as a network does."""
    own, _ = link.pair
    for number in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(number.name))) as one:
            if one.type == socket.SOCK_STREAM and one.getsockname()[:2] == own:
                one.shutdown(socket.SHUT_RDWR)


def command(listener, verb, payload, reply=f"{TOP}/reply/me", correlation=b"c1"):
    properties = Properties(PacketTypes.PUBLISH)
    if reply:
        properties.ResponseTopic = reply
    if correlation:
        properties.CorrelationData = correlation
    listener.client.publish(f"{TOP}/cmd/{verb}", payload, qos=1, properties=properties)


def test_requests_come_in_and_answers_go_where_they_may(url):
    with listening(url, f"{TOP}/reply/#") as listener, Gateway(url) as gateway:
        until(lambda: gateway.link.connected)
        command(listener, "ping", b"{}")
        request = gateway.link.requests.get(timeout=TIMEOUT_S)
        assert request == Request("cmd", "ping", b"{}", f"{TOP}/reply/me", b"c1")
        gateway.link.reply(request, b"pong")
        answer = listener.next("reply")
        assert (answer.payload, answer.properties.CorrelationData) == (b"pong", b"c1")
        for elsewhere in ("emtc/v1/acme/gw-2/reply/me", f"{TOP}/alert", "anything", "$SYS/x"):
            command(listener, "ping", b"{}", reply=elsewhere)
        command(listener, "status", b"", reply=None, correlation=None)
        assert gateway.link.requests.get(timeout=TIMEOUT_S) == Request("cmd", "status", b"", None, None)


def test_too_many_requests_are_answered_busy(url):
    with listening(url, f"{TOP}/reply/#") as listener, Gateway(url) as gateway:
        until(lambda: gateway.link.connected)
        for _ in range(100):
            command(listener, "ping", b"{}")
        until(lambda: gateway.link.requests.qsize() + gateway.link.overrun == 100)
        assert gateway.link.overrun == 36
        assert json.loads(listener.next("reply").payload) == {"ok": False, "error": "busy"}


def test_a_refusal_is_told_and_tried_again(tmp_path):
    with brokers.mosquitto(tmp_path, "allow_anonymous false") as url, Gateway(url) as gateway:
        until(lambda: "refused: Not authorized" in gateway.link.reason)
        assert not gateway.link.connected
        gateway.put(alert(1))
        assert len(gateway.outbox) == 1


def test_a_topic_one_may_not_write_keeps_the_message(tmp_path):
    rules = tmp_path / "acl"
    rules.write_text(f"topic readwrite {TOP}/status\n")
    with brokers.mosquitto(tmp_path, f"acl_file {rules}") as url, Gateway(url) as gateway:
        gateway.put(alert(1))
        until(lambda: gateway.link.refused)
        assert len(gateway.outbox) == 1
        assert gateway.link.connected


@pytest.mark.filterwarnings("ignore:.*SSLSocket")  # paho leaves the socket of a failed handshake to the collector
def test_a_missing_certificate_is_told_and_taken_once_it_is_there(tmp_path):
    authority = Authority(tmp_path / "ca")
    server, client = authority.server(), authority.client("/CN=gw")
    lines = (f"cafile {authority.certificate}", f"certfile {server.certificate}", f"keyfile {server.key}")
    with brokers.mosquitto(tmp_path, *lines, "require_certificate true") as text:
        url = text.replace("mqtt://", "mqtts://")
        own = Credentials(authority.certificate, tmp_path / "own.crt", tmp_path / "own.key")
        with Gateway(url, credentials=own) as gateway:
            until(lambda: "own.crt: is not there (yet)" in gateway.link.reason)
            (tmp_path / "own.key").write_bytes(client.key.read_bytes())
            (tmp_path / "own.crt").write_bytes(client.certificate.read_bytes())
            until(lambda: gateway.link.connected)
        stranger = Credentials(Authority(tmp_path / "other").certificate, client.certificate, client.key)
        with Gateway(url, credentials=stranger) as gateway:
            until(lambda: "certificate: " in gateway.link.reason)


def test_the_budget_is_measured_and_silences_step_by_step(url):
    with listening(url) as listener, Gateway(url, monthly_bytes=200_000) as gateway:
        gateway.put(*(alert(n) for n in range(100)))
        for _ in range(100):
            listener.next("alert")
        gateway.link.stop()
        carried = gateway.traffic.month_bytes
        payloads = 100 * len(alert_message(alert(1), "", 1).payload)
        assert payloads < carried < 2 * payloads
        assert gateway.traffic.level == Level.EVERYTHING
        gateway.traffic.add(145_000 - carried)
        assert gateway.traffic.level == Level.DIGESTS
        gateway.traffic.add(40_000)
        assert gateway.traffic.level == Level.CRITICAL
        assert Traffic(gateway.database, 200_000).month_bytes == gateway.traffic.month_bytes


def test_without_budget_left_only_the_critical_go(url):
    with listening(url) as listener, Gateway(url, monthly_bytes=1) as gateway:
        gateway.traffic.add(1)
        gateway.put(alert(1, severity=4), alert(2, severity=5), alert(3, severity=2))
        assert decode(listener.next("alert").payload, Alert).severity_id == 5
        until(lambda: len(gateway.outbox) == 2)


def test_a_mute_server_blocks_nothing(monkeypatch):
    monkeypatch.setattr("emtc_agent.delivery.session.CONNECT_TIMEOUT_S", 0.5)
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        Gateway(f"mqtt://127.0.0.1:{mute.getsockname()[1]}") as gateway,
    ):
        until(lambda: "no answer" in gateway.link.reason)
        gateway.put(alert(1))


def test_what_goes_is_paced(url):
    with listening(url) as listener, Gateway(url, messages_per_s=20, burst=5) as gateway:
        begin = time.monotonic()
        gateway.put(*(alert(n) for n in range(15)))
        for _ in range(15):
            listener.next("alert")
        assert time.monotonic() - begin >= 0.45
