"""Topics: what is built parses back, everything else is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_contract import topics
from emtc_contract.errors import MessageError

names = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)
devices = st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)


@given(names, names, st.sampled_from(["status", "info", "health", "alert", "model"]))
def test_plain_channels_come_back(client, gateway, channel):
    assert topics.parse(topics.build(client, gateway, channel)) == topics.Topic(client, gateway, channel)


@given(names, names, st.sampled_from(["device", "cmd"]), devices)
def test_channels_with_an_argument_come_back(client, gateway, channel, argument):
    built = topics.build(client, gateway, channel, argument)
    assert topics.parse(built) == topics.Topic(client, gateway, channel, argument)


@given(st.text(max_size=80))
def test_any_text_is_a_topic_of_ours_or_refused(text):
    with contextlib.suppress(MessageError):
        assert str(topics.parse(text)) == text


@pytest.mark.parametrize(
    "topic",
    [
        "emtc/v1/a/b/alert/x",
        "emtc/v1/a/b/device",
        "emtc/v1/a/b",
        "emtc/v2/a/b/alert",
        "emtc/v1/A/b/alert",
        "emtc/v1/a+/b/alert",
        "emtc/v1/a/b/alert\n",
        "emtc/v1//b/alert",
        "emtc/v1/a/b/device/#",
    ],
)
def test_near_misses_are_refused(topic):
    with pytest.raises(MessageError):
        topics.parse(topic)


def test_subscriptions():
    assert topics.subscription("alert") == "emtc/v1/+/+/alert"
    assert topics.subscription("device", "acme") == "emtc/v1/acme/+/device/+"
    with pytest.raises(MessageError):
        topics.subscription("alert", "#")
