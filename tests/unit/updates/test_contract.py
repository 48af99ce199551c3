"""Announcements: strict, bounded, and nothing else gets through."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_contract import updates
from emtc_contract.bundle import MAX_BUNDLE_BYTES
from emtc_contract.errors import MessageError
from emtc_contract.updates import (
    Announcement,
    chunk_argument,
    decode_announcement,
    decode_offer,
    encode_announcement,
    encode_offer,
    parse_chunk_argument,
)
from model_updates import announced

CHUNKED = announced(bytes(10_000))
LINKED = announced(bytes(10_000), url="https://example.com/x.bundle?version=1")


def changed(announcement, **fields):
    content = json.loads(encode_announcement(announcement)) | fields
    return json.dumps({name: value for name, value in content.items() if value is not ...}).encode()


@pytest.mark.parametrize("announcement", [CHUNKED, LINKED])
def test_what_is_encoded_comes_back(announcement):
    text = encode_announcement(announcement)
    offer = decode_offer(encode_offer(text, "signature"))
    assert (offer.announcement.encode(), offer.signature) == (text, "signature")
    assert decode_announcement(text) == announcement


@pytest.mark.parametrize(
    "fields",
    [
        {"schema": "emtc-model/2"},
        {"schema": ...},
        {"unknown": 1},
        {"name": ""},
        {"name": "n" * 129},
        {"name": "zwei\nZeilen"},
        {"name": "\u202eevil"},
        {"name": 5},
        {"version": 0},
        {"version": 2**53},
        {"version": 1.5},
        {"version": "1"},
        {"version": True},
        {"size_bytes": 0},
        {"size_bytes": MAX_BUNDLE_BYTES + 1},
        {"sha256": "0" * 63},
        {"sha256": "A" * 64},
        {"sha256": "0" * 63 + "\n"},
        {"bundle_signature": ""},
        {"bundle_signature": "s" * 4_001},
        {"bundle_signature": ...},
        {"url": "https://x"},
        {"chunks": 9},
        {"chunks": 11},
        {"chunks": None},
        {"chunk_bytes": None},
        {"chunk_bytes": 1_023, "chunks": 10},
        {"chunk_bytes": 262_145, "chunks": 1},
        {"chunks": 4_097, "size_bytes": 4_097 * 1_024},
        {"chunks": None, "chunk_bytes": None},
    ],
    ids=str,
)
def test_every_field_is_bounded(fields):
    with pytest.raises(MessageError, match="Announcement"):
        decode_announcement(changed(CHUNKED, **fields))


@pytest.mark.parametrize("url", ["ftp://x/", "https://", "https://x/\n", "https://x/ y", "https://x/é", "x" * 2_001])
def test_urls_are_checked(url):
    with pytest.raises(MessageError, match="url"):
        decode_announcement(changed(LINKED, url=url))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_junk_is_a_message_error(payload):
    for decode in (decode_offer, decode_announcement):
        with pytest.raises(MessageError):
            decode(payload)


def test_deep_and_large_payloads_are_message_errors():
    for payload in (b"[" * 30_000, b'{"announcement":' + b"[" * 30_000, b" " * (updates.MAX_OFFER_BYTES + 1)):
        with pytest.raises(MessageError):
            decode_offer(payload)
    with pytest.raises(MessageError):
        decode_offer(json.dumps({"announcement": "{}", "signature": "s", "more": 1}).encode())


def test_what_no_agent_would_take_is_not_encoded():
    with pytest.raises(MessageError):
        encode_announcement(Announcement(**{**_fields(CHUNKED), "version": 0}))
    with pytest.raises(MessageError):
        encode_offer(b"{}", "s" * 4_001)


def _fields(announcement):
    return {name: getattr(announcement, name) for name in announcement.__struct_fields__}


@pytest.mark.parametrize("argument", ["", "0" * 8, "0123abcd-", "0123abcd-01", "0123ABCD-1", "0123abcd--1", "a" * 99])
def test_chunk_topics(argument):
    assert parse_chunk_argument(chunk_argument("0123abcd", 4_095)) == ("0123abcd", 4_095)
    with pytest.raises(MessageError):
        parse_chunk_argument(argument)
