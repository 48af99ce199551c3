"""Header fields come out as they were put in; broken headers are marked, never guessed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import frames as f
from batches import batch_of
from emtc_agent.addresses import ip_text, mac_text
from emtc_agent.columns import Other, decode, read_hints
from emtc_agent.columns.columns import L3, Mark
from emtc_agent.columns.decode import decode_any
from emtc_agent.columns.hints import Hint

ports = st.integers(0, 65535)
v4 = st.ip_addresses(v=4).map(str)
v6 = st.ip_addresses(v=6).map(str)
ETHERNET, RAW, SLL, SLL2 = 1, 101, 113, 276


def one(octets, linktype=ETHERNET, wire_len=None):
    """The columns of a single packet, as a dictionary of plain values."""
    batch = batch_of([octets], linktype=linktype, wire_len=None if wire_len is None else [wire_len])
    columns = decode(batch)
    found = {name: getattr(columns, name)[0].item() for name in columns.__slots__}
    found["src"], found["dst"] = ip_text(found["src_hi"], found["src_lo"]), ip_text(found["dst_hi"], found["dst_lo"])
    found["hints"] = Hint(int(read_hints(batch, columns).bits[0]))
    return found


def written(address):
    """As ``ip_text`` writes it."""
    return None if int.from_bytes(f.address(address), "big") == 0 else address


@given(v4, v4, ports, ports, st.integers(0, 255), st.integers(1, 255), st.binary(max_size=50))
def test_tcp_over_ipv4(src, dst, sport, dport, flags, ttl, payload):
    got = one(f.ether(f.ipv4(f.tcp(payload, sport, dport, flags), src, dst, ttl=ttl)))
    assert (got["l3"], got["proto"], got["src"], got["dst"]) == (L3.IPV4, 6, written(src), written(dst))
    assert (got["src_port"], got["dst_port"], got["tcp_flags"], got["ttl"]) == (sport, dport, flags, ttl)
    assert (got["net_len"], got["payload_len"], got["payload_cap"]) == (40 + len(payload), len(payload), len(payload))
    assert got["marks"] & Mark.TRANSPORT
    assert got["reason"] == Other.DECODED


@given(v6, v6, ports, ports, st.binary(max_size=50))
def test_udp_over_ipv6_behind_extension_headers(src, dst, sport, dport, payload):
    options = bytes([17, 0]) + bytes(6)
    got = one(
        f.ether(f.ipv6(bytes([60, 0]) + bytes(6) + options + f.udp(payload, sport, dport), src, dst, 0), f.IPV6)
    )
    assert got["l3"] == L3.IPV6
    assert (got["src_hi"] << 64 | got["src_lo"]).to_bytes(16, "big") == f.address(src)
    assert (got["dst_hi"] << 64 | got["dst_lo"]).to_bytes(16, "big") == f.address(dst)
    assert (got["proto"], got["src_port"], got["dst_port"]) == (17, sport, dport)
    assert got["payload_len"] == len(payload)


@pytest.mark.parametrize("body", [f.tcp(), f.udp(length=0)])
def test_a_length_on_the_wire_that_is_absurd_stays_a_length(body):
    """No total length in the header (as with segmentation offload), so that the record's own counts."""
    proto = f.UDP if len(body) == 8 else f.TCP
    got = one(f.ether(f.ipv4(body, proto=proto, total=0)), wire_len=2**32 - 1)
    assert got["net_len"] == 2**31 - 1 - 14
    assert got["payload_len"] == got["net_len"] - 20 - len(body)


@given(st.lists(st.tuples(st.sampled_from((f.VLAN, f.QINQ)), st.integers(0, 4095)), max_size=3))
def test_vlan_tags_are_skipped(tags):
    got = one(f.ether(f.ipv4(f.udp(), proto=f.UDP), tags=tuple(tags)))
    assert (got["src"], got["dst_port"]) == ("10.0.0.1", 53)


@pytest.mark.parametrize(
    ("linktype", "octets"),
    [
        (RAW, f.ipv4(f.tcp(dport=1883))),
        (SLL, f.sll(f.ipv4(f.tcp(dport=1883)))),
        (SLL2, f.sll2(f.ipv4(f.tcp(dport=1883)))),
        (0, b"\x02\0\0\0" + f.ipv4(f.tcp(dport=1883))),
        (9, b"\xff\x03\x00\x21" + f.ipv4(f.tcp(dport=1883))),
        (104, b"\x0f\x00\x08\x00" + f.ipv4(f.tcp(dport=1883))),
        (104, b"\x0f\x00\x88\x47" + f.mpls(f.ipv4(f.tcp(dport=1883)))),
        (219, f.mpls(f.ipv4(f.tcp(dport=1883)))),
        (12, f.ipv4(f.tcp(dport=1883))),
    ],
)
def test_other_link_types(linktype, octets):
    got = one(octets, linktype)
    assert (got["src"], got["dst_port"], got["net_len"]) == ("10.0.0.1", 1883, 40)


@given(st.integers(1, 8), st.booleans())
def test_mpls_labels_are_skipped(labels, tagged):
    tags = ((f.VLAN, 5),) if tagged else ()
    for packet in (f.ipv4(f.udp(), proto=f.UDP), f.ipv6(f.udp(), proto=f.UDP)):
        got = one(f.ether(f.mpls(packet, labels), f.MPLS, tags=tags))
        assert (got["src"], got["dst_port"], got["net_len"]) in (("10.0.0.1", 53, 28), ("fd00::1", 53, 48))


@given(st.lists(st.sampled_from((bytes(2), bytes(6), bytes(14))), max_size=3), st.integers(0, 2**32 - 1), v4)
def test_gtp_u_shows_the_inner_packet(extensions, teid, device):
    inner = f.ipv4(f.udp(b"abc", 5683, 9), device, "203.0.113.9", f.UDP)
    outer = f.ipv4(f.udp(f.gtpu(inner, teid, extensions=tuple(extensions)), f.GTPU, f.GTPU), proto=f.UDP)
    got = one(f.ether(outer))
    assert (got["src"], got["dst"], got["teid"]) == (written(device), "203.0.113.9", teid)
    assert (got["src_port"], got["net_len"], got["payload_len"]) == (5683, len(inner), 3)
    assert got["marks"] & Mark.TUNNEL


def test_damage_around_a_tunnel_is_told_of_the_packet_inside():
    inner = f.ipv6(f.tcp(), length=9_000)
    outer = f.ipv4(f.udp(f.gtpu(inner), f.GTPU, f.GTPU, length=10_000), proto=f.UDP, total=10_028)
    got = one(f.ether(outer))
    assert got["net_len"] == 9_040
    assert got["marks"] & Mark.TUNNEL
    assert got["marks"] & Mark.MALFORMED


def test_gtp_u_that_is_no_g_pdu_stays_outer():
    echo = f.ipv4(f.udp(f.gtpu(b"", 0, kind=1), f.GTPU, f.GTPU), proto=f.UDP)
    got = one(f.ether(echo))
    assert (got["teid"], got["dst_port"]) == (0, f.GTPU)


def test_a_packet_inside_the_first_fragment_of_a_tunnel_is_no_damage():
    inner = f.ipv4(f.tcp(b"x" * 1000))
    datagram = f.udp(f.gtpu(inner, 7), f.GTPU, f.GTPU)
    got = one(f.ether(f.ipv4(datagram[:600], proto=f.UDP, fragment=0x2000)))
    assert (got["teid"], got["net_len"], got["payload_len"]) == (7, len(inner), 1000)
    assert got["payload_cap"] == 600 - 8 - 8 - 40
    assert not got["marks"] & Mark.MALFORMED


def test_a_packet_inside_a_tunnel_that_claims_more_than_the_datagram_is_malformed():
    inner = f.ipv4(f.tcp(b"x" * 1000), total=1041)
    datagram = f.udp(f.gtpu(inner, 7), f.GTPU, f.GTPU)
    assert one(f.ether(f.ipv4(datagram[:600], proto=f.UDP, fragment=0x2000)))["marks"] & Mark.MALFORMED
    assert one(f.ether(f.ipv4(datagram, proto=f.UDP)))["marks"] & Mark.MALFORMED


def test_arp():
    got = one(f.ether(f.arp(2, 0x0200_0000_0001, "10.0.0.1", 0x0200_0000_0002, "10.0.0.2"), f.ARP, 0x0200_0000_0001))
    assert (got["l3"], got["op"], got["src"], got["dst"]) == (L3.ARP, 2, "10.0.0.1", "10.0.0.2")
    assert mac_text(got["arp_mac"]) == "02:00:00:00:00:01"
    assert got["net_len"] == 28


def test_later_fragments_have_no_ports():
    got = one(f.ether(f.ipv4(f.tcp(), fragment=100)))
    assert got["marks"] & Mark.FRAGMENT
    assert got["marks"] & Mark.LATER_FRAGMENT
    assert (got["src_port"], got["dst_port"]) == (0, 0)


def test_an_unreadable_ipv4_header_tells_of_no_fragment():
    fragment = f.ipv4(f.tcp(), fragment=0x2064)
    got = one(f.ether(b"\x44" + fragment[1:]))
    assert Other(got["reason"]) == Other.BAD_IPV4
    assert Mark(got["marks"]) == Mark.MALFORMED


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"\0" * 9, Other.SHORT_LINK_HEADER),
        (f.ether(b"\0" * 40, 0x88CC), Other.NOT_IP),
        (f.ether(f.mpls(b"\0" * 40), f.MPLS), Other.NOT_IP),  # a pseudowire
        (f.ether(f.mpls(f.ipv4(), 9), f.MPLS), Other.NOT_IP),  # deeper than anyone stacks
        (f.ether(f.mpls(b"", 3)[:10], f.MPLS), Other.SHORT_LINK_HEADER),
        (f.ether(f.mpls(f.ipv4()[:19]), f.MPLS), Other.BAD_IPV4),
        (f.ether(b"\x40" + b"\0" * 30), Other.BAD_IPV4),
        (f.ether(b"\x45" + b"\0" * 5), Other.BAD_IPV4),
        (f.ether(b"\x50" + b"\0" * 50, f.IPV6), Other.BAD_IPV6),
        (f.ether(f.arp(1, 2, "10.0.0.1", 0, "10.0.0.2")[:20], f.ARP), Other.BAD_ARP),
        (f.ether(f.ipv4(f.tcp()[:10])), Other.BAD_TRANSPORT),
        (f.ether(f.ipv4(b"x" * 20, proto=132)), Other.OTHER_PROTOCOL),
    ],
)
def test_what_cannot_be_decoded_says_why(octets, reason):
    assert Other(one(octets)["reason"]) == reason


def test_unknown_link_types_say_so():
    assert Other(one(b"\0" * 60, 147)["reason"]) == Other.UNKNOWN_LINKTYPE


def test_a_snap_length_is_no_damage():
    whole = f.ether(f.ipv4(f.tcp(b"x" * 1000)))
    got = one(whole[:60], wire_len=len(whole))
    assert (got["net_len"], got["payload_len"], got["payload_cap"]) == (1040, 1000, 6)
    assert not got["marks"] & Mark.MALFORMED


@pytest.mark.parametrize("wire_len", [0xFFFF_FFFF, 0x8000_0000, 0x7FFF_FFFF])
@pytest.mark.parametrize(
    "octets",
    [
        f.ether(f.ipv4(f.tcp(), total=0)),
        f.ether(f.ipv6(f.tcp(), length=0), f.IPV6),
        f.ether(b"\0" * 40, 0x88CC),
        f.ether(f.ipv4(f.udp(f.gtpu(f.ipv4(f.tcp(), total=0)), f.GTPU, f.GTPU, length=0), total=0, proto=f.UDP)),
        b"\0" * 5,
    ],
)
def test_a_record_that_claims_gigabytes_has_lengths_that_fit(octets, wire_len):
    got = one(octets, wire_len=wire_len)
    assert 0 <= got["payload_len"] <= got["net_len"] <= wire_len


@pytest.mark.parametrize(
    ("payload", "hint"),
    [
        (f.udp(f.dns("a.example")), Hint.DNS_QUERY),
        (f.udp(f.dns("a.example", response=True, code=3), 53, 4000), Hint.DNS_RESPONSE | Hint.DNS_NXDOMAIN),
        (f.udp(f.dns("a.example", kind=16)), Hint.DNS_QUERY | Hint.DNS_TXT),
        (f.tcp(b"\x10\x10\0\4MQTT", dport=1883), Hint.MQTT_CONNECT),
        (f.tcp(b"\x20\2\0\5", sport=1883, dport=9), Hint.MQTT_REFUSED),
        (f.tcp(b"\x20\2\0\0", sport=1883, dport=9), Hint(0)),
        (f.tcp(b"\x00\2\0\0", dport=1883), Hint.MQTT_MALFORMED),
        (f.tcp(b"\x30\xff\xff\xff\xff", dport=1883), Hint.MQTT_MALFORMED),
        (f.udp(b"\x40\1\0\1", dport=5683), Hint.COAP_REQUEST),
        (f.udp(b"\x60\x84\0\1", sport=5683, dport=9), Hint.COAP_ERROR),
        (f.tcp(b"\x15\3\3\0\2\2\x28", dport=443), Hint.TLS_ALERT),
        (f.tcp(b"\x16\3\1\0\x99\1", dport=443), Hint.TLS_HELLO),
        (f.tcp(b"\0\1\0\0\0\6\1\6\0\1", dport=502), Hint.MODBUS_WRITE),
        (f.tcp(b"\0\1\0\0\0\3\1\x83\2", sport=502, dport=9), Hint.MODBUS_EXCEPTION),
        (f.tcp(b"hello", dport=80), Hint(0)),
    ],
)
def test_application_hints(payload, hint):
    proto = f.UDP if len(payload) >= 8 and payload[4:6] == len(payload).to_bytes(2, "big") else f.TCP
    assert one(f.ether(f.ipv4(payload, proto=proto)))["hints"] == hint


link_types = st.sampled_from((0, 1, 9, 12, 101, 104, 108, 113, 219, 228, 229, 276, 147))


@given(st.lists(st.binary(max_size=120), min_size=1, max_size=12), link_types)
def test_any_octets_are_decoded_within_their_bounds(octets, linktype):
    check_bounds(batch_of(octets, linktype=linktype))


@given(st.data())
def test_damaged_frames_are_decoded_within_their_bounds(data):
    inner = f.ipv4(f.tcp(b"abc"))
    good = [
        f.ether(f.ipv4(f.udp(f.gtpu(inner, extensions=(bytes(2),)), f.GTPU, f.GTPU), proto=f.UDP)),
        f.ether(f.ipv6(bytes([6, 0]) + bytes(6) + f.tcp(), proto=0), f.IPV6),
        f.ether(f.ipv4(f.udp(f.dns("some.name.example"))), tags=((f.VLAN, 5),)),
    ]
    damaged = []
    for frame in good:
        octets = bytearray(frame)
        for at, value in data.draw(
            st.lists(st.tuples(st.integers(0, len(octets) - 1), st.integers(0, 255)), max_size=4)
        ):
            octets[at] = value
        damaged.append(bytes(octets[: data.draw(st.integers(0, len(octets)))]))
    check_bounds(batch_of(damaged))


PLAIN = [
    f.ether(f.ipv4(f.tcp(b"abc"))),
    f.ether(f.ipv4(f.tcp(b"", flags=4))),
    f.ether(f.ipv4(f.udp(f.dns("a.example")), proto=f.UDP)),
    f.ether(f.ipv4(f.tcp(bytes(200), 443))),
    f.ether(f.ipv4(bytes([8, 0, 0, 0, 0, 1, 0, 1]) + b"ping", proto=f.ICMP)),
    f.ether(f.ipv4(f.tcp(b"abc")), tags=((f.VLAN, 5),)),
    f.ether(f.ipv4(f.udp(b"abc"), proto=f.UDP), tags=((f.QINQ, 5), (f.VLAN, 5))),
    f.ether(f.ipv6(f.tcp(b"abc")), f.IPV6),
    f.ether(f.ipv6(f.udp(b"abc"), proto=f.UDP), f.IPV6, tags=((f.VLAN, 5),)),
    f.ether(f.ipv6(bytes([128, 0, 0, 0, 0, 1, 0, 1]) + b"ping", proto=f.ICMPV6), f.IPV6),
]
TELLING = st.sampled_from((*range(12, 28), *range(34, 74)))
"""Octets of the headers that decide whether a packet is plain."""


@given(st.data())
def test_plain_packets_read_apart_have_the_columns_they_have_in_full(data):
    frames, wire_len = [], []
    for frame in data.draw(st.lists(st.sampled_from(PLAIN), min_size=1, max_size=5)):
        octets = bytearray(frame)
        for at, value in data.draw(st.lists(st.tuples(TELLING, st.integers(0, 255) | st.just(8)), max_size=2)):
            octets[at % len(octets)] = value
        frames.append(bytes(octets[: data.draw(st.just(len(octets)) | st.integers(0, len(octets)))]))
        wire_len.append(len(frames[-1]) + data.draw(st.just(len(frame) - len(frames[-1])) | st.integers(0, 99)))
    batch = batch_of(frames, wire_len=wire_len)
    apart, full = decode(batch, plain_from=1), decode_any(batch)
    for name in full.__slots__:
        assert getattr(apart, name).dtype == getattr(full, name).dtype, name
        assert getattr(apart, name).tolist() == getattr(full, name).tolist(), name


def check_bounds(batch):
    """What later stages rely on, whatever the octets were."""
    columns = decode(batch)
    hints = read_hints(batch, columns)
    assert len(columns) == len(hints.bits) == len(batch)
    end = batch.start + batch.cap_len
    assert (columns.payload_cap >= 0).all()
    assert (columns.payload_cap <= np.maximum(columns.payload_len, 0)).all()
    reaches = columns.payload_at + columns.payload_cap
    assert (reaches[columns.payload_cap > 0] <= end[columns.payload_cap > 0]).all()
    assert (columns.net_len >= 0).all()
    assert (columns.ts_us == batch.ts_us).all()
