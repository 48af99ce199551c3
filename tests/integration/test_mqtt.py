"""Publisher and subscriber over real brokers."""

import contextlib
import queue
import socket
import threading

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

import brokers
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.report.mqtt import ALERT_EXPIRY_S, MqttPublisher
from emtc_agent.report.subscriber import Subscriber
from emtc_contract.errors import InputError, LinkError, MessageError
from emtc_contract.messages import Alert, Info, Status, decode
from samples import ALERT, INFO

TIMEOUT_S = 10


@pytest.fixture(params=["embedded", "mosquitto"])
def url(request, tmp_path):
    if request.param == "mosquitto" and brokers.MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    opened = brokers.embedded() if request.param == "embedded" else brokers.mosquitto(tmp_path)
    with opened as text:
        yield BrokerUrl.parse(text)


@contextlib.contextmanager
def listening(url, topic="emtc/#"):
    """Everything below a topic, as a queue of raw messages."""
    got: queue.Queue = queue.Queue()
    subscribed = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = lambda _c, _u, message: got.put(message)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect(url.host, url.port)
    client.loop_start()
    client.subscribe(topic, qos=1)
    assert subscribed.wait(TIMEOUT_S)
    yield got
    client.disconnect()
    client.loop_stop()


def publisher(url, **options):
    return MqttPublisher(url, "acme", "gw-1", INFO, **options)


def test_birth_alerts_and_goodbye_arrive_in_order(url):
    with listening(url) as got:
        with publisher(url) as out:
            out.publish(ALERT)
        messages = [got.get(timeout=TIMEOUT_S) for _ in range(4)]
    topics = [message.topic.removeprefix("emtc/v1/acme/gw-1/") for message in messages]
    assert topics == ["status", "info", "alert", "status"]
    assert decode(messages[0].payload, Status).state == "online"
    assert decode(messages[1].payload, Info) == INFO
    assert decode(messages[2].payload, Alert) == ALERT
    assert decode(messages[3].payload, Status).state == "stopped"
    assert all(message.qos == 1 for message in messages)
    assert 0 < messages[2].properties.MessageExpiryInterval <= ALERT_EXPIRY_S


def test_status_and_info_wait_for_later_subscribers_and_alerts_do_not(url):
    with publisher(url) as out:
        out.publish(ALERT)
    with listening(url) as got:
        waiting = {got.get(timeout=TIMEOUT_S).topic.rsplit("/", 1)[1] for _ in range(2)}
        assert waiting == {"status", "info"}
        with publisher(url):
            pass
        kinds = [got.get(timeout=TIMEOUT_S).topic.rsplit("/", 1)[1] for _ in range(3)]
    assert "alert" not in kinds


def test_a_gateway_that_dies_is_reported_lost(url):
    with listening(url, "emtc/v1/+/+/status") as got:
        dying = publisher(url)
        dying.open()
        assert decode(got.get(timeout=TIMEOUT_S).payload, Status).state == "online"
        dying.client.socket().shutdown(socket.SHUT_RDWR)
        dying.client.on_connect = None
        dying.client.loop_stop()
        lost = decode(got.get(timeout=TIMEOUT_S).payload, Status)
        assert (lost.state, lost.boot) == ("lost", INFO.boot)


def test_a_broker_that_falls_away_and_comes_back_hears_the_birth_again(url):
    with listening(url, "emtc/v1/+/+/status") as got, publisher(url) as out:
        assert decode(got.get(timeout=TIMEOUT_S).payload, Status).state == "online"
        out.client.socket().shutdown(socket.SHUT_RDWR)
        states = [decode(got.get(timeout=TIMEOUT_S).payload, Status).state for _ in range(2)]
        assert states[-1] == "online"


def test_many_alerts_all_arrive(url):
    with listening(url, "emtc/v1/+/+/alert") as got:
        with publisher(url) as out:
            for _ in range(300):
                out.publish(ALERT)
        assert [decode(got.get(timeout=TIMEOUT_S).payload, Alert) for _ in range(300)] == [ALERT] * 300


def test_a_subscriber_takes_what_follows_the_contract_and_counts_the_rest(url):
    with Subscriber(url) as subscriber, publisher(url) as out:
        for topic, payload in (
            ("emtc/v1/acme/gw-1/alert", b"not json"),
            ("emtc/v1/acme/gw-1/alert", b"{}"),
            ("emtc/v1/acme/gw-1/status", b'{"state":"dancing","boot":"b"}'),
            ("emtc/v1/acme/gw-1/alert", b"\xff" * 1000),
        ):
            out.client.publish(topic, payload, qos=1).wait_for_publish(TIMEOUT_S)
        out.publish(ALERT)
        found = []
        while not any(isinstance(one.message, Alert) for one in found):
            found.append(subscriber.next(TIMEOUT_S))
        assert found[-1].message == ALERT
        assert str(found[-1].topic) == "emtc/v1/acme/gw-1/alert"
        assert subscriber.broken == 4


def test_a_subscriber_can_ask_for_one_gateway(url):
    with Subscriber(url, "acme", "gw-2") as subscriber:
        with publisher(url) as out:
            out.publish(ALERT)
        with MqttPublisher(url, "acme", "gw-2", INFO):
            pass
        assert subscriber.next(TIMEOUT_S).topic.gateway == "gw-2"


def test_nobody_listening_is_a_link_error():
    url = BrokerUrl.parse(f"mqtt://127.0.0.1:{brokers.free_port()}")
    with pytest.raises(LinkError, match=rf"127\.0\.0\.1:{url.port}: cannot connect: Connection refused"):
        publisher(url).open()


def test_a_host_that_does_not_exist_is_a_link_error():
    with pytest.raises(LinkError, match="cannot connect"):
        publisher(BrokerUrl.parse("mqtts://broker.invalid")).open()


@pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_refusal_is_told_with_its_reason(tmp_path):
    with brokers.mosquitto(tmp_path, "allow_anonymous false") as text:
        for opened in (publisher(BrokerUrl.parse(text)), Subscriber(BrokerUrl.parse(text))):
            with pytest.raises(LinkError, match="refused: Not authorized"):
                opened.open()


@pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_topic_one_may_not_write_is_a_link_error(tmp_path):
    rules = tmp_path / "acl"
    rules.write_text("topic read emtc/#\n")
    with (
        brokers.mosquitto(tmp_path, f"acl_file {rules}") as text,
        pytest.raises(LinkError, match="refused a message: Not authorized"),
        publisher(BrokerUrl.parse(text)) as out,
    ):
        out.publish(ALERT)


def test_a_server_that_speaks_something_else_is_a_link_error(monkeypatch):
    monkeypatch.setattr("emtc_agent.report.broker.CONNECT_TIMEOUT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = BrokerUrl.parse(f"mqtt://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(LinkError, match="no answer"):
            publisher(url).open()


@pytest.mark.parametrize(
    "text",
    ["mqtt://", "http://host", "host:1883", "mqtt://host:x", "mqtt://host/path", "mqtt://host:99999", "mqtt://h?q=1"],
)
def test_wrong_urls_are_refused(text):
    with pytest.raises(InputError, match="a broker is mqtt://"):
        BrokerUrl.parse(text)


def test_urls_keep_their_secrets():
    url = BrokerUrl.parse("mqtts://me:s%40cret@broker.example")
    assert (url.host, url.port, url.tls, url.user, url.password) == ("broker.example", 8883, True, "me", "s@cret")
    assert "cret" not in f"{url} {url!r}"
    with pytest.raises(InputError) as caught:
        BrokerUrl.parse("http://me:s3cret@broker.example")
    assert "s3cret" not in str(caught.value)


def test_plain_mqtt_leaves_this_machine_only_on_request():
    remote = BrokerUrl.parse("mqtt://198.51.100.1")
    with pytest.raises(InputError, match="--allow-plain"):
        publisher(remote)
    publisher(remote, allow_plain=True)
    publisher(BrokerUrl.parse("mqtt://[::1]"))


def test_names_that_cannot_stand_in_a_topic_are_refused():
    with pytest.raises(MessageError, match="gateway"):
        MqttPublisher(BrokerUrl.parse("mqtt://localhost"), "acme", "gw/1", INFO)
