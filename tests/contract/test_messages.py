"""Messages: they survive the wire, follow their published JSON Schema, and hostile payloads are refused."""

import json

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_contract import messages
from emtc_contract.errors import MessageError
from samples import ALERT, HEALTH, INFO, STATUS
from support import ROOT

SAMPLES = {"alert": ALERT, "status": STATUS, "info": INFO, "health": HEALTH}


@pytest.mark.parametrize("channel", SAMPLES)
def test_a_message_survives_the_wire(channel):
    message = SAMPLES[channel]
    assert messages.decode(messages.encode(message), type(message)) == message


@pytest.mark.parametrize("channel", SAMPLES)
def test_a_message_follows_its_published_schema(channel):
    published = json.loads((ROOT / "docs" / "schemas" / f"{channel}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(json.loads(messages.encode(SAMPLES[channel])), published)


def test_published_schemas_are_those_of_the_code():
    for channel, schema in messages.json_schemas().items():
        published = json.loads((ROOT / "docs" / "schemas" / f"{channel}.schema.json").read_text())
        assert published == json.loads(msgspec.json.encode(schema)), "run scripts/schemas"


def test_unknown_fields_are_ignored():
    fields = json.loads(messages.encode(ALERT)) | {"invented": [1, 2, 3]}
    assert messages.decode(json.dumps(fields).encode(), messages.Alert) == ALERT


@pytest.mark.parametrize(
    ("field", "value"),
    [("severity_id", 9), ("state", "maybe"), ("p_value", "low"), ("reasons", None), ("endpoint", {"kind": "mac"})],
)
def test_a_wrong_field_is_named(field, value):
    fields = json.loads(messages.encode(ALERT)) | {field: value}
    with pytest.raises(MessageError, match=field):
        messages.decode(json.dumps(fields).encode(), messages.Alert)


@given(st.binary(max_size=200))
def test_any_octets_are_refused_cleanly(payload):
    with pytest.raises(MessageError):
        messages.decode(payload, messages.Alert)


def test_deep_and_long_payloads_are_refused():
    for payload in (b"[" * 100_000, b'{"schema":' + b"[" * 100_000, b" " * (messages.MAX_PAYLOAD_BYTES + 1)):
        with pytest.raises(MessageError):
            messages.decode(payload, messages.Alert)


def test_an_alert_is_small():
    assert len(messages.encode(ALERT)) < 1_600
