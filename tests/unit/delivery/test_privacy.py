"""Addresses as keyed hashes: none is left in what is told, and the same device stays the same."""

import ipaddress

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.delivery.privacy import AddressHider
from emtc_contract.messages import Endpoint, Flow, Peer, encode
from samples import ALERT

KEY = b"k" * 32
HIDER = AddressHider(KEY)


def test_no_address_is_left_and_the_sentence_still_says_who_is_who():
    flow = Flow(src_ip="10.0.0.7", src_port=1, dest_ip="10.0.0.13", dest_port=22, proto="TCP")
    hidden = HIDER.hide(msgspec.structs.replace(ALERT, flow=flow))
    told = encode(hidden).decode()
    for address in ("10.0.0.7", "02:00:00:00:00:07", "10.0.0.13"):
        assert address not in told
    assert hidden.endpoint.ip in hidden.text
    assert hidden.endpoint.mac in hidden.text
    assert hidden.endpoint.id == hidden.endpoint.mac
    assert hidden.peers == (Peer(ip=HIDER.hidden("10.0.0.13"), windows=4),)
    assert hidden.flow is None
    assert hidden.endpoint.kind == "mac"
    assert msgspec.structs.replace(
        hidden, endpoint=ALERT.endpoint, peers=ALERT.peers, text=ALERT.text
    ) == msgspec.structs.replace(ALERT, flow=None), "all else stays"


def test_an_address_that_begins_like_another_is_hidden_as_a_whole():
    endpoint = Endpoint(id="10.0.0.1", kind="ip", ip="10.0.0.1")
    peers = (Peer(ip="10.0.0.12", windows=1), Peer(ip="10.0.0.123", windows=1))
    text = "10.0.0.1 talks to 10.0.0.12 and 10.0.0.123"
    hidden = HIDER.hide(msgspec.structs.replace(ALERT, endpoint=endpoint, peers=peers, text=text))
    names = [HIDER.hidden(one) for one in ("10.0.0.1", "10.0.0.12", "10.0.0.123")]
    assert hidden.text == f"{names[0]} talks to {names[1]} and {names[2]}"


def test_what_is_not_known_stays_unknown():
    bare = msgspec.structs.replace(ALERT, endpoint=Endpoint(id="overflow", kind="overflow"), peers=())
    hidden = HIDER.hide(bare).endpoint
    assert (hidden.ip, hidden.mac, hidden.teid) == (None, None, None)


def test_the_tunnel_is_hidden_too():
    endpoint = Endpoint(id="10.0.0.1", kind="teid", ip="10.0.0.1", teid="0x00000abc")
    hidden = HIDER.hide(msgspec.structs.replace(ALERT, endpoint=endpoint, text="0x00000abc"))
    assert hidden.endpoint.teid == hidden.text == HIDER.hidden("0x00000abc")


@given(st.ip_addresses(), st.ip_addresses())
def test_hashes_tell_devices_apart_and_need_the_key(one, other):
    one, other = str(one), str(other)
    assert (HIDER.hidden(one) == AddressHider(KEY).hidden(other)) == (one == other)
    assert HIDER.hidden(one) != AddressHider(b"q" * 32).hidden(one)
    assert len(HIDER.hidden(one)) == 17


@given(st.lists(st.ip_addresses(v=4), min_size=2, max_size=8, unique=True))
def test_any_addresses_vanish(addresses):
    first, *others = map(str, addresses)
    endpoint = Endpoint(id=first, kind="ip", ip=first)
    text = " ".join([first, *others])
    peers = tuple(Peer(ip=one, windows=1) for one in others)
    hidden = HIDER.hide(msgspec.structs.replace(ALERT, endpoint=endpoint, peers=peers, text=text))
    assert hidden.text.split() == [HIDER.hidden(one) for one in (first, *others)]
    assert not any(str(ipaddress.ip_address(one)) in hidden.text for one in (first, *others))
