"""A fleet as provisioned, on a real mosquitto with the shipped configuration: who gets in, and who may do what."""

import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

import brokers
from certificates import Authority, Pair, needs_openssl
from emtc_agent.provisioning import load_fleet, provision_fleet
from emtc_agent.report.broker import BrokerUrl, Connection
from emtc_agent.report.credentials import look_up
from emtc_agent.settings import load_settings
from support import ROOT

pytestmark = [needs_openssl, pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed")]
SHIPPED = ROOT / "firmware-config" / "mosquitto" / "emtc-guard.conf"
TIMEOUT_S = 10
CONNECT = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"
ACCEPTED = 0x20
FLEET = """
[broker]
url = "mqtts://127.0.0.1"
home_assistant = true
[[gateway]]
client = "acme"
name = "gw-1"
[[gateway]]
client = "acme"
name = "gw-2"
[[gateway]]
client = "bolt"
name = "gw-1"
[[operator]]
name = "desk"
[[operator]]
name = "alice"
client = "acme"
[[operator]]
name = "wall"
client = "acme"
role = "viewer"
[[operator]]
name = "hass"
role = "home-assistant"
"""


class Site:
    """The provisioned folder and where its broker listens."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, brokers.free_port()
        self.ca = folder / "ca"
        self.provision(FLEET)

    def provision(self, text: str) -> None:
        listed = self.folder / "fleet.toml"
        listed.write_text(text)
        provision_fleet(load_fleet(listed), listed, self.folder / "out", authority_folder=self.ca, renew=(), days=30)

    def pair(self, who: str) -> Pair:
        place = f"gateways/{who}/credentials" if "/" in who else f"operators/{who}"
        return Pair(self.folder / "out" / place / "client.crt", self.folder / "out" / place / "client.key")

    def tls(self, pair: Pair | None) -> ssl.SSLContext:
        """What a client uses; as strict as Python 3.13 is by itself."""
        context = ssl.create_default_context(cafile=self.ca / "ca.crt")
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        if pair:
            context.load_cert_chain(*pair)
        return context

    @contextmanager
    def broker(self):
        """The shipped configuration, included as Debian's mosquitto.conf includes it, at other places."""
        conf = self.folder / "conf.d"
        conf.mkdir(exist_ok=True)
        text = SHIPPED.read_text()
        for shipped, here in (
            ("listener 8883", f"listener {self.port} 127.0.0.1"),
            ("/etc/mosquitto/emtc-guard", str(self.folder / "out" / "broker")),
        ):
            assert shipped in text
            text = text.replace(shipped, here)
        (conf / SHIPPED.name).write_text(text)
        main = self.folder / "mosquitto.conf"
        user = ["user root"] if os.geteuid() == 0 else []
        lines = ["persistence true", f"persistence_location {self.folder}/", *user, f"include_dir {conf}"]
        main.write_text("\n".join(lines) + "\n")
        with (self.folder / "mosquitto.log").open("wb") as log:
            process = subprocess.Popen([brokers.MOSQUITTO, "-c", main], stdout=log, stderr=log)
        try:
            brokers.until_listening(self.port, process)
            yield process
        finally:
            process.terminate()
            process.wait(10)


class Peer:
    """Somebody with a certificate, connected; collects what is delivered."""

    def __init__(self, site: Site, who: str, *, client_id: str = "", will: str | None = None) -> None:
        self.got: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._answers: queue.Queue = queue.Queue()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
        client.tls_set_context(site.tls(site.pair(who)))
        client.on_connect = lambda *call: self._answers.put(call[3])
        client.on_subscribe = lambda *call: self._answers.put(call[3])
        client.on_publish = lambda *call: self._answers.put(call[3])
        client.on_message = lambda _c, _u, message: self.got.put((message.topic, message.payload))
        if will:
            client.will_set(will, b"will", qos=1)
        client.connect("127.0.0.1", site.port)
        client.loop_start()
        self.client = client
        assert not self._answer().is_failure

    def subscribe(self, *filters: str) -> None:
        self.client.subscribe([(one, 1) for one in filters])
        self._answer()

    def may_publish(self, topic: str, payload: bytes = b"x") -> bool:
        self.client.publish(topic, payload, qos=1)
        return not self._answer().is_failure

    def next(self) -> tuple[str, bytes]:
        return self.got.get(timeout=TIMEOUT_S)

    def die(self) -> None:
        """Vanish without a word."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.client.disconnect()
        self.client.loop_stop()

    def _answer(self):
        return self._answers.get(timeout=TIMEOUT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    with site.broker():
        yield site


@pytest.fixture
def peer(site):
    """Connects somebody until the end of the test."""
    with ExitStack() as stack:
        yield lambda who, **options: stack.enter_context(Peer(site, who, **options))


def topic(gateway: str, channel: str) -> str:
    return f"emtc/v1/{gateway}/{channel}"


def answer_to(site: Site, context: ssl.SSLContext | None) -> bytes:
    """The first octet the broker answers a CONNECT with; empty if it hangs up."""
    plain = socket.create_connection(("127.0.0.1", site.port), timeout=TIMEOUT_S)
    try:
        channel = context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain
        with channel:
            channel.sendall(CONNECT)
            return channel.recv(1)
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        plain.close()


def test_a_certificate_of_the_fleet_gets_in(site):
    assert answer_to(site, site.tls(site.pair("acme/gw-1"))) == bytes([ACCEPTED])


def test_the_agent_connects_with_what_was_provisioned(site, tmp_path):
    gateway = site.folder / "out/gateways/acme/gw-1"
    for file in (gateway / "credentials").iterdir():  # as LoadCredential=mqtt:FOLDER does
        shutil.copy(file, tmp_path / f"mqtt_{file.name}")
    handed = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    broker = load_settings(gateway / "gateway.toml").broker
    ca, certificate, key = (
        str(look_up(name, gateway, handed)) for name in (broker.ca_file, broker.certificate, broker.private_key)
    )
    url = BrokerUrl.parse(f"{broker.url}:{site.port}")
    connection = Connection(url, "any", ca_file=ca, certificate=certificate, private_key=key)
    connection.open()
    connection.close()


def test_plain_tcp_is_refused(site):
    assert answer_to(site, None) == b""


def test_a_client_without_a_certificate_is_refused(site):
    assert answer_to(site, site.tls(None)) == b""


def test_a_certificate_of_another_authority_is_refused(site, tmp_path):
    stranger = Authority(tmp_path / "other").client("/O=acme/CN=gw-1")
    assert answer_to(site, site.tls(stranger)) == b""


@pytest.mark.parametrize(("days", "answer"), [(1, bytes([ACCEPTED])), (-1, b"")])
def test_a_certificate_gets_in_until_its_time_is_over(site, days, answer):
    pair = Authority(site.ca).client("/O=acme/CN=gw-1", days=days)
    assert answer_to(site, site.tls(pair)) == answer


def test_a_server_certificate_is_no_clients(site):
    broker = site.folder / "out" / "broker"
    assert answer_to(site, site.tls(Pair(broker / "server.crt", broker / "server.key"))) == b""


def test_a_gateway_writes_its_own_topics_and_operators_of_its_client_read_them(peer):
    everybody, alice = peer("desk"), peer("alice")
    for operator in (everybody, alice):
        operator.subscribe("$share/fleet/emtc/v1/+/+/alert", "emtc/v1/+/+/status", "emtc/v1/+/+/reply/+")
    for gateway in ("bolt/gw-1", "acme/gw-1"):
        one = peer(gateway)
        for channel in ("status", "info", "health", "device/mac:02", "reply/7"):
            assert one.may_publish(topic(gateway, channel))
    assert [everybody.next()[0] for _ in range(4)] == [
        topic(gateway, channel) for gateway in ("bolt/gw-1", "acme/gw-1") for channel in ("status", "reply/7")
    ]
    assert [alice.next()[0] for _ in range(2)] == [topic("acme/gw-1", "status"), topic("acme/gw-1", "reply/7")]
    assert alice.got.empty()


def test_a_gateway_writes_nothing_else(peer):
    desk, gateway = peer("desk"), peer("acme/gw-1")
    desk.subscribe("emtc/#", "homeassistant/#")
    for forbidden in (
        *(topic(other, "alert") for other in ("acme/gw-2", "bolt/gw-1", "acme/gw-1/x", "acme", "acme/gw-11")),
        topic("acme/gw-1", "cmd/relearn"),
        topic("acme/gw-1", "model"),
        topic("acme/gw-1", "chunk/0"),
        topic("acme/gw-1", "alert/x"),
        "homeassistant/device/emtc-acme-gw-2/config",
        "homeassistant/status",
        "anything",
    ):
        assert not gateway.may_publish(forbidden), forbidden
    assert gateway.may_publish(topic("acme/gw-1", "alert"), b"mine")
    assert desk.next() == (topic("acme/gw-1", "alert"), b"mine")


def test_a_gateway_reads_its_own_commands_only(peer):
    desk, first, second = peer("desk"), peer("acme/gw-1"), peer("acme/gw-2")
    for gateway in (first, second):
        gateway.subscribe("emtc/#", "emtc/v1/acme/gw-1/cmd/+", "$share/x/emtc/v1/acme/+/cmd/+", "+/#")
    for channel in ("cmd/relearn", "model", "chunk/0"):
        assert desk.may_publish(topic("acme/gw-1", channel), b"for the first")
    assert desk.may_publish(topic("acme/gw-2", "cmd/relearn"), b"for the second")
    assert {first.next()[1] for _ in range(3)} == {b"for the first"}
    assert second.next() == (topic("acme/gw-2", "cmd/relearn"), b"for the second")


def test_operators_command_their_client_and_viewers_nobody(peer):
    gateway = peer("acme/gw-1")
    gateway.subscribe("emtc/v1/acme/gw-1/cmd/+")
    alice, wall = peer("alice"), peer("wall")
    assert not wall.may_publish(topic("acme/gw-1", "cmd/by-wall"))
    assert not alice.may_publish(topic("bolt/gw-1", "cmd/by-alice"))
    assert not alice.may_publish(topic("acme/gw-1", "alert"))
    assert alice.may_publish(topic("acme/gw-1", "cmd/by-alice"))
    assert gateway.next()[0] == topic("acme/gw-1", "cmd/by-alice")


def test_home_assistant_hears_discovery_and_greets(peer):
    hass, gateway = peer("hass"), peer("acme/gw-1")
    hass.subscribe("homeassistant/#", "emtc/#")
    gateway.subscribe("homeassistant/status")
    assert gateway.may_publish("homeassistant/device/emtc-acme-gw-1/config")
    assert gateway.may_publish(topic("acme/gw-1", "alert"))
    assert gateway.may_publish(topic("acme/gw-1", "status"))
    assert [hass.next()[0] for _ in range(2)] == [
        "homeassistant/device/emtc-acme-gw-1/config",
        topic("acme/gw-1", "status"),
    ]
    assert hass.may_publish("homeassistant/status")
    assert gateway.next()[0] == "homeassistant/status"


def test_a_will_may_not_speak_for_another_gateway(site, peer):
    desk = peer("desk")
    desk.subscribe("emtc/v1/acme/+/status")
    for about in ("acme/gw-1", "acme/gw-2"):
        Peer(site, "acme/gw-2", will=topic(about, "status")).die()
    assert desk.next() == (topic("acme/gw-2", "status"), b"will")
    assert desk.got.empty()


def test_nobody_can_throw_another_out_with_its_client_id(peer):
    first, desk = peer("acme/gw-1", client_id="first"), peer("desk")
    first.subscribe("emtc/v1/acme/gw-1/cmd/+")
    lost = []
    first.client.on_disconnect = lambda *_: lost.append(1)
    for name in ("first", "CN=gw-1,O=acme"):
        with peer("acme/gw-2", client_id=name) as thief:
            assert thief.may_publish(topic("acme/gw-2", "status"))
    assert desk.may_publish(topic("acme/gw-1", "cmd/still-there"))
    assert first.next()[0] == topic("acme/gw-1", "cmd/still-there")
    assert not lost


def test_what_is_too_large_ends_the_connection(peer):
    gateway = peer("acme/gw-1")
    gone: queue.Queue = queue.Queue()
    assert gateway.may_publish(topic("acme/gw-1", "alert"), bytes(256 * 1024))
    gateway.client.on_disconnect = lambda *call: gone.put(call[3])
    gateway.client.publish(topic("acme/gw-1", "alert"), bytes(280_000), qos=0)
    assert gone.get(timeout=TIMEOUT_S).is_failure


def test_a_gateway_that_leaves_the_list_loses_its_rights_at_once(tmp_path):
    site = Site(tmp_path)
    with site.broker() as process, Peer(site, "acme/gw-2") as stolen, Peer(site, "acme/gw-1") as kept:
        assert stolen.may_publish(topic("acme/gw-2", "status"))
        site.provision(FLEET.replace('[[gateway]]\nclient = "acme"\nname = "gw-2"\n', ""))
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + TIMEOUT_S
        while stolen.may_publish(topic("acme/gw-2", "status")):
            assert time.monotonic() < deadline
        assert kept.may_publish(topic("acme/gw-1", "status"))
