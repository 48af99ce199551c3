"""Commands: whatever comes over the topic is one that was fully understood, or an error that says what is wrong."""

import json
import string

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emtc_contract.commands import (
    COMMANDS,
    MAX_COMMAND_BYTES,
    Ack,
    Answer,
    Command,
    Learn,
    Suppress,
    Update,
    decode_command,
    encode_answer,
)
from emtc_contract.errors import MessageError

ULID = "01JDQ7W0000000000000000000"
VERBS = st.sampled_from([*COMMANDS])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.sampled_from(sorted({field for kind in COMMANDS.values() for field in kind.__struct_fields__}))
BOUNDS = {
    "seconds": (0, 30 * 86_400),
    "days": (0, 365),
    "hours": (0, 365 * 24),
}


def decoded(verb, payload):
    """The command, or None for a MessageError; anything else fails the test."""
    try:
        return decode_command(verb, payload)
    except MessageError as error:
        assert str(error).startswith((verb, "no such command"))
        return None


def require_sound(command):
    """What the rest of the program relies on."""
    for name in command.__struct_fields__:
        value = getattr(command, name)
        if name in BOUNDS:
            low, high = BOUNDS[name]
            assert low <= value <= high
        elif isinstance(value, str):
            assert len(value) <= 200
            value.encode()  # no half of a surrogate pair: it could not be told again
        elif isinstance(value, tuple):
            assert len(value) <= 8
            assert all(0 < len(one) <= 200 for one in value)
    if isinstance(command, Ack):
        assert len(command.id) == 26


@given(VERBS | st.text(), st.binary(max_size=400))
@example("learn", b'{"seconds": NaN}')
@example("learn", b'{"seconds": 1e999}')
@example("learn", b'{"seconds": -0.0}')
@example("suppress", b'{"why": "\\ud800"}')
@example("suppress", b'{"why": "\xed\xa0\x80"}')
@example("suppress", b"[" * 9_999)
@example("suppress", b'{"endpoint":' * 3_000)
@example("ping", b"\xef\xbb\xbf{}")
@example("ping", b"{}{}")
def test_any_octets_are_a_command_or_an_error(verb, payload):
    command = decoded(verb, payload)
    if command is not None:
        assert type(command) is COMMANDS[verb]
        require_sound(command)


@given(VERBS, st.dictionaries(FIELDS | st.text(), JSON, max_size=5))
def test_any_json_is_a_command_or_an_error(verb, fields):
    payload = json.dumps(fields, ensure_ascii=True).encode()
    command = decoded(verb, payload)
    if command is not None:
        assert set(fields) <= set(command.__struct_fields__), "what is not understood is not skipped"
        require_sound(command)


@given(
    st.one_of(
        st.builds(Learn, seconds=st.floats(0, 30 * 86_400), trusted=st.booleans(), forget=st.booleans()),
        st.builds(Ack, id=st.text(string.ascii_uppercase, min_size=26, max_size=26), why=st.text(max_size=200)),
        st.builds(Suppress, endpoint=st.text(min_size=1, max_size=200), hours=st.floats(0.001, 365 * 24)),
        st.builds(Update, action=st.sampled_from(["status", "rollback", "retry"])),
    )
)
def test_what_is_allowed_comes_through(command):
    verb = type(command).__name__.lower()
    assert decode_command(verb, msgspec.json.encode(command)) == command


@pytest.mark.parametrize("verb", [*COMMANDS])
def test_nothing_is_all_defaults(verb):
    if verb == "ack":
        with pytest.raises(MessageError, match="missing required field `id`"):
            decode_command(verb, b"")
    else:
        assert decode_command(verb, b"") == COMMANDS[verb]() == decode_command(verb, b"{}")


@pytest.mark.parametrize(
    ("verb", "fields", "wrong"),
    [
        ("learn", {"seconds": -1}, r"learn: .*>= 0.*\$\.seconds"),
        ("learn", {"seconds": 30 * 86_400 + 1}, r"<= 2592000.*\$\.seconds"),
        ("learn", {"seconds": "3"}, r"Expected `float`, got `str`"),
        ("learn", {"seconds": True}, r"Expected `float`, got `bool`"),
        ("learn", {"accepted": ["x"] * 9}, r"length <= 8.*\$\.accepted"),
        ("learn", {"accepted": [""]}, r"length >= 1.*\$\.accepted"),
        ("learn", {"trust": True}, "unknown field `trust`"),
        ("ack", {"id": ULID[1:]}, r"length >= 26.*\$\.id"),
        ("ack", {"id": ULID + "0"}, r"length <= 26.*\$\.id"),
        ("ack", {"id": ULID, "verdict": "perhaps"}, "Invalid enum value 'perhaps'"),
        ("ack", {"id": ULID, "days": 0}, "> 0"),
        ("ack", {"id": ULID, "days": 366}, "<= 365"),
        ("suppress", {"endpoint": ""}, "length >= 1"),
        ("suppress", {"endpoint": "x" * 201}, "length <= 200"),
        ("suppress", {"hours": 9_000}, "<= 8760"),
        ("update", {"action": "delete"}, "Invalid enum value 'delete'"),
        ("ping", {"a": 1}, "unknown field `a`"),
        ("Ping", {}, "no such command: 'Ping'; there are ping, status, learn"),
        ("../cmd", {}, "no such command"),
    ],
)
def test_errors_say_what_is_wrong_and_where(verb, fields, wrong):
    with pytest.raises(MessageError, match=wrong):
        decode_command(verb, json.dumps(fields).encode())


def test_a_long_payload_is_not_even_read():
    with pytest.raises(MessageError, match=f"payload of {MAX_COMMAND_BYTES + 1} bytes is too large"):
        decode_command("ping", b"{" + b" " * (MAX_COMMAND_BYTES - 1) + b"}")
    assert decode_command("ping", b"{" + b" " * (MAX_COMMAND_BYTES - 2) + b"}") is not None


def test_a_long_verb_is_cut():
    with pytest.raises(MessageError) as caught:
        decode_command("x" * 60_000, b"")
    assert len(str(caught.value)) < 200


def test_answers_leave_out_what_they_do_not_have():
    assert json.loads(encode_answer(Answer(ok=True, result={"a": 1}))) == {"ok": True, "result": {"a": 1}}
    assert json.loads(encode_answer(Answer(ok=False, error="no"))) == {"ok": False, "error": "no"}


def test_every_kind_of_command_refuses_what_it_does_not_know():
    assert all(kind.__struct_config__.forbid_unknown_fields for kind in COMMANDS.values())
    assert all(issubclass(kind, Command) for kind in COMMANDS.values())
